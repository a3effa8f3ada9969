package trust_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	root      = metadata.ROOT
	timestamp = metadata.TIMESTAMP
	snapshot  = metadata.SNAPSHOT
	targets   = metadata.TARGETS
)

// forge signs whatever a test wants, also what package sign would refuse. Every field may be changed before publish.
type forge struct {
	t       testing.TB
	keys    map[string][]ed25519.PrivateKey // that sign each role
	named   map[string][]ed25519.PrivateKey // that the root names, when not keys
	least   map[string]int                  // thresholds
	version map[string]int64
	expires map[string]time.Time
	made    time.Time
	fleet   manifest.Fleet
	docs    map[string][]byte // release documents by version
	ways    map[string][]byte // documents of ways by version
	files   map[string][]byte // all that was published so far

	onTargets   func(*metadata.TargetsType)
	onSnapshot  func(*metadata.SnapshotType)
	onTimestamp func(*metadata.TimestampType)
	noHashes    bool
}

func newForge(t testing.TB, name string) *forge {
	f := &forge{
		t: t, keys: map[string][]ed25519.PrivateKey{}, named: map[string][]ed25519.PrivateKey{},
		least:   map[string]int{root: 2, timestamp: 1, snapshot: 1, targets: 1},
		version: map[string]int64{root: 1}, expires: map[string]time.Time{},
		fleet: manifest.Fleet{
			Format: 1, Name: name, Rings: map[string]manifest.Ring{"pilot": {}},
			Sites: map[string]manifest.Site{"kin-001": {Ring: "pilot"}},
		},
		docs: map[string][]byte{}, ways: map[string][]byte{}, files: map[string][]byte{},
	}
	for role, n := range map[string]int{root: 3, timestamp: 1, snapshot: 1, targets: 1} {
		for range n {
			f.keys[role] = append(f.keys[role], newKey(t))
		}
		f.expires[role] = start.AddDate(1, 0, 0)
	}
	f.expires[timestamp] = start.AddDate(0, 3, 0)
	f.made = start
	f.root(f.keys[root])
	return f
}

var keysMade atomic.Int64

// newKey returns another key every time, and the same ones in every run: fuzzing needs that.
func newKey(testing.TB) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "key %d", keysMade.Add(1)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func tufKey(private ed25519.PrivateKey) *metadata.Key {
	return &metadata.Key{
		Type: "ed25519", Scheme: "ed25519",
		Value: metadata.KeyVal{PublicKey: hex.EncodeToString(private.Public().(ed25519.PublicKey))},
	}
}

// root publishes a root of the present keys and version, signed by signers.
func (f *forge) root(signers []ed25519.PrivateKey) []byte {
	m := metadata.Root(f.expires[root])
	m.Signed.Version = f.version[root]
	for role, keys := range f.keys {
		if named, ok := f.named[role]; ok {
			keys = named
		}
		m.Signed.Roles[role].Threshold = f.least[role]
		for _, key := range keys {
			if err := m.Signed.AddKey(tufKey(key), role); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	data := seal(f.t, m, signers)
	f.files[fmt.Sprintf("metadata/%d.root.json", f.version[root])] = data
	return data
}

// rotate publishes the next root after change has replaced keys; signed by the old and the new root keys.
func (f *forge) rotate(change func()) {
	signers := append([]ed25519.PrivateKey(nil), f.keys[root]...)
	change()
	for _, key := range f.keys[root] {
		if !has(signers, key) {
			signers = append(signers, key)
		}
	}
	f.version[root]++
	f.root(signers)
}

// changedRoot publishes a next root that change has made other than fleets make it, signed as it must be.
func (f *forge) changedRoot(change func(*metadata.RootType)) map[string][]byte {
	f.rotate(func() {})
	path := fmt.Sprintf("metadata/%d.root.json", f.version[root])
	m, err := metadata.Root().FromBytes(f.files[path])
	if err != nil {
		f.t.Fatal(err)
	}
	change(&m.Signed)
	return with(f.next(), map[string][]byte{path: seal(f.t, m, f.keys[root])})
}

func has(keys []ed25519.PrivateKey, key ed25519.PrivateKey) bool {
	for _, k := range keys {
		if k.Equal(key) {
			return true
		}
	}
	return false
}

// next counts all roles up and publishes.
func (f *forge) next() map[string][]byte {
	for _, role := range []string{targets, snapshot, timestamp} {
		f.version[role]++
	}
	return f.publish()
}

// publish signs targets, snapshot and timestamp with the present versions, and returns the folder: all roots, the newest rest.
func (f *forge) publish() map[string][]byte {
	folder := map[string][]byte{}
	for path, data := range f.files {
		folder[path] = data
	}
	packed, err := f.fleet.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	list := metadata.Targets(f.expires[targets])
	list.Signed.Version = f.version[targets]
	put := func(dir, name, base string, data []byte) {
		sum := sha256.Sum256(data)
		list.Signed.Targets[name] = &metadata.TargetFiles{Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
		folder[fmt.Sprintf("targets/%s%x.%s", dir, sum, base)] = data
	}
	put("", manifest.FleetPath, manifest.FleetPath, packed.Fleet)
	put("", manifest.SitesPath, manifest.SitesPath, packed.Sites)
	parts, err := packed.Parts()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, b := range parts {
		data, _ := packed.Part(b)
		folder[manifest.PartPath(b.Digest)] = data
	}
	for version, doc := range f.docs {
		put("releases/", manifest.ReleasePath(version), version+".json", doc)
	}
	for version, doc := range f.ways {
		put("ways/", manifest.WaysPath(version), version+".json", doc)
	}
	if f.onTargets != nil {
		f.onTargets(&list.Signed)
	}
	data := seal(f.t, list, f.keys[targets])
	folder[fmt.Sprintf("metadata/%d.targets.json", f.version[targets])] = data

	snap := metadata.Snapshot(f.expires[snapshot])
	snap.Signed.Version = f.version[snapshot]
	snap.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": f.meta(f.version[targets], data)}
	if f.onSnapshot != nil {
		f.onSnapshot(&snap.Signed)
	}
	data = seal(f.t, snap, f.keys[snapshot])
	folder[fmt.Sprintf("metadata/%d.snapshot.json", f.version[snapshot])] = data

	stamp := metadata.Timestamp(f.expires[timestamp])
	stamp.Signed.Version = f.version[timestamp]
	stamp.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": f.meta(f.version[snapshot], data)}
	stamp.Signed.UnrecognizedFields = map[string]any{"made": f.made.Format(time.RFC3339), "root": f.version[root]}
	if f.onTimestamp != nil {
		f.onTimestamp(&stamp.Signed)
	}
	folder["metadata/timestamp.json"] = seal(f.t, stamp, f.keys[timestamp])
	return folder
}

func (f *forge) meta(version int64, data []byte) *metadata.MetaFiles {
	if f.noHashes {
		return &metadata.MetaFiles{Version: version}
	}
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

func seal[T metadata.Roles](t testing.TB, m *metadata.Metadata[T], keys []ed25519.PrivateKey) []byte {
	m.ClearSignatures()
	for _, key := range keys {
		signer, err := signature.LoadSigner(key, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Sign(signer); err != nil {
			t.Fatal(err)
		}
	}
	data, err := m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// release adds a release document to what is published next.
func (f *forge) release(version string) {
	r := &manifest.Release{
		Format: 1, Fleet: f.fleet.Name, Version: version, Project: "emr", Compose: []string{"compose.yaml"},
		Files: []manifest.File{{
			Path: "compose.yaml", Mode: 0o644,
			Blob: manifest.Blob{Digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		}},
		Rollback: manifest.Rollback{Data: "restore"},
	}
	data, err := r.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.docs[version] = data
}

// site is one site's trust folder with a clock that tests move.
type site struct {
	*trust.Client
	t   testing.TB
	dir string
	now time.Time
}

func newSite(t testing.TB, first []byte) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "trust"), now: start}
	if err := trust.Init(s.dir, first); err != nil {
		t.Fatal(err)
	}
	s.reopen()
	return s
}

func (s *site) open(opts trust.Options) error {
	opts.Now = func() time.Time { return s.now }
	c, err := trust.Open(s.dir, opts)
	if err == nil {
		s.Client = c
	}
	return err
}

func (s *site) reopen() {
	s.t.Helper()
	if err := s.open(trust.Options{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) must(files map[string][]byte, offline bool) *trust.Manifest {
	s.t.Helper()
	m, err := s.Refresh(context.Background(), manifesttest.NewSource(files), offline)
	if err != nil {
		s.t.Fatalf("refresh: %v", err)
	}
	return m
}

func (s *site) fails(files map[string][]byte, offline bool) error {
	s.t.Helper()
	m, err := s.Refresh(context.Background(), manifesttest.NewSource(files), offline)
	if err == nil {
		s.t.Fatalf("refresh accepted manifest %d", m.Number)
	}
	return err
}

// number is the manifest that the site has, as a fresh process would read it; 0 is none.
func (s *site) number() int64 {
	s.t.Helper()
	s.reopen()
	m, err := s.Current()
	if err != nil {
		return 0
	}
	return m.Number
}

// disk returns all files of the trust folder.
func (s *site) disk() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

func with(files map[string][]byte, changes map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	for path, data := range changes {
		if data == nil {
			delete(out, path)
		} else {
			out[path] = data
		}
	}
	return out
}

// edit changes the JSON of a signed document without signing it again.
func edit(t testing.TB, data []byte, change func(signed map[string]any)) []byte {
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	change(m["signed"].(map[string]any))
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
