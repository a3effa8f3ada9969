package trust_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// leads adds a document of ways to what is published next: one delta of so many bytes.
func (f *forge) leads(version string, size int64) {
	w := manifest.Ways{Format: 1, Fleet: f.fleet.Name, Version: version, Layers: []manifest.LayerWays{{
		DiffID: digest.FromString("layer of " + version),
		Deltas: []manifest.Delta{{
			Blob: manifest.Blob{Digest: digest.FromString(fmt.Sprint(version, size)), Size: size},
			Base: digest.FromString("base"), From: "0.9.0",
		}},
	}}}
	data, err := w.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.ways[version] = data
}

// keptWays lists the documents of ways in the trust folder.
func (s *site) keptWays() []string {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.dir, "ways", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return names
}

func size(w *manifest.Ways) int64 { return w.Layers[0].Deltas[0].Size }

func TestWays(t *testing.T) {
	ctx := context.Background()
	f := newForge(t, "drc")
	f.release("1.0.0")
	f.leads("1.0.0", 10)
	first := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	if _, err := s.Ways(ctx, manifesttest.NewSource(first), "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("without a manifest: %v", err)
	}
	s.must(first, false)
	if _, err := s.Ways(ctx, nil, "1.0.0"); !errors.Is(err, trust.ErrNothing) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a source: %v", err)
	}
	for _, none := range []string{"2.0.0", "", "1.0", "v1.0.0", "../releases/1.0.0", "1.0.0/../1.0.0"} {
		if w, err := s.Ways(ctx, manifesttest.NewSource(first), none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ways to %q: %v, %v", none, w, err)
		}
	}
	for n := range 3 {
		src := manifesttest.NewSource(first)
		if n > 0 {
			src = manifesttest.NewSource(nil)
			s.reopen()
		}
		if w, err := s.Ways(ctx, src, "1.0.0"); err != nil || size(w) != 10 || n > 0 && len(src.Asked()) > 0 {
			t.Fatalf("reading %d: %v, %v, asked for %v", n, w, err, src.Asked())
		}
	}

	// A newer document takes the place of the older, which is asked for no more.
	f.leads("1.0.0", 9)
	f.release("1.1.0")
	f.leads("1.1.0", 3)
	second := f.next()
	s.must(second, false)
	if _, err := s.Ways(ctx, nil, "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("the older one was taken: %v", err)
	}
	for version, want := range map[string]int64{"1.0.0": 9, "1.1.0": 3} {
		if w, err := s.Ways(ctx, manifesttest.NewSource(second), version); err != nil || size(w) != want {
			t.Errorf("%s: %v, %v", version, w, err)
		}
	}
	if names := s.keptWays(); len(names) != 2 {
		t.Errorf("kept: %v", names)
	}

	// What the manifest leaves out is not there any more.
	delete(f.ways, "1.0.0")
	f.leads("1.1.0", 2)
	third := f.next()
	s.must(third, true)
	if _, err := s.Ways(ctx, manifesttest.NewSource(second), "1.0.0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no longer named: %v", err)
	}
	if w, err := s.Ways(ctx, manifesttest.NewSource(third), "1.1.0"); err != nil || size(w) != 2 {
		t.Errorf("%v, %v", w, err)
	}
	if names := s.keptWays(); len(names) != 1 {
		t.Errorf("kept: %v", names)
	}

	// Where nothing is written it is the same.
	scratch := s.Scratch()
	for _, src := range []trust.Source{manifesttest.NewSource(third), nil} {
		if w, err := scratch.Ways(ctx, src, "1.1.0"); err != nil || size(w) != 2 {
			t.Errorf("scratch: %v, %v", w, err)
		}
	}
}

// What a source makes of the document, and what it brings from before.
func TestHostileWays(t *testing.T) {
	ctx := context.Background()
	f := newForge(t, "drc")
	f.release("1.0.0")
	f.leads("1.0.0", 10)
	old := f.next()
	f.leads("1.0.0", 9)
	files := f.next()
	path := find(files, "targets/ways/")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(files, false)
	data := files[path]
	for name, bad := range map[string][]byte{
		"flipped": append([]byte("["), data[1:]...), "short": data[:9], "long": append(data[:len(data):len(data)], 0),
		"the older one": old[find(old, "targets/ways/")], "endless": make([]byte, manifest.MaxWays+1), "a release": f.docs["1.0.0"],
	} {
		if w, err := s.Ways(ctx, manifesttest.NewSource(with(files, map[string][]byte{path: bad})), "1.0.0"); !errors.Is(err, trust.ErrDamaged) {
			t.Errorf("%s: %v, %v", name, w, err)
		}
	}
	if _, err := s.Ways(ctx, manifesttest.NewSource(with(files, map[string][]byte{path: nil})), "1.0.0"); !errors.Is(err, trust.ErrDamaged) {
		t.Errorf("a source without it: %v", err)
	}
	if names := s.keptWays(); len(names) != 0 {
		t.Errorf("kept: %v", names)
	}

	// The whole manifest of before does not bring the older ways back, from a line or a stick.
	if _, err := s.Ways(ctx, manifesttest.NewSource(files), "1.0.0"); err != nil {
		t.Fatal(err)
	}
	for _, offline := range []bool{false, true} {
		if err := s.fails(old, offline); !errors.Is(err, trust.ErrStale) {
			t.Errorf("offline %v: %v", offline, err)
		}
	}
	if w, err := s.Ways(ctx, nil, "1.0.0"); err != nil || size(w) != 9 {
		t.Errorf("%v, %v", w, err)
	}

	// Bytes that were changed on the disk count for nothing.
	if err := os.WriteFile(s.keptWays()[0], old[find(old, "targets/ways/")], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ways(ctx, nil, "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("changed on the disk: %v", err)
	}
	if w, err := s.Ways(ctx, manifesttest.NewSource(files), "1.0.0"); err != nil || size(w) != 9 {
		t.Errorf("fetched again: %v, %v", w, err)
	}
}

// Mistakes of a signer who has the keys, or what a thief of the release key might try.
func TestWaysThatDoNotFit(t *testing.T) {
	f := newForge(t, "drc")
	f.leads("1.0.0", 10)
	f.ways["2.0.0"] = f.ways["1.0.0"]
	f.fleet.Name = "other"
	f.leads("3.0.0", 10)
	f.fleet.Name = "drc"
	f.ways["4.0.0"] = []byte(`{"format":1,"fleet":"drc","version":"4.0.0","layers":[{}]}`)
	f.ways["5.0.0"] = []byte(`{"format":99}`)
	f.leads("6.0.0", 10)
	f.onTargets = func(list *metadata.TargetsType) {
		list.Targets[manifest.WaysPath("6.0.0")].Length = manifest.MaxWays + 1
	}
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(files, true)
	for version, want := range map[string]error{
		"2.0.0": trust.ErrDamaged, "3.0.0": trust.ErrOtherFleet, "4.0.0": manifest.ErrInvalid, "5.0.0": manifest.ErrNewer, "6.0.0": trust.ErrDamaged,
	} {
		src := manifesttest.NewSource(files)
		if w, err := s.Ways(context.Background(), src, version); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v, want %v", version, w, err, want)
		}
		if version == "6.0.0" && len(src.Asked()) > 0 {
			t.Errorf("it was asked for %v", src.Asked())
		}
	}
	if names := s.keptWays(); len(names) != 0 {
		t.Errorf("kept: %v", names)
	}
}

// A list that the top list delegates to can't bring ways: package sign never delegates, and sites refuse a manifest that does.
func TestDelegatedWays(t *testing.T) {
	ctx := context.Background()
	f := newForge(t, "drc")
	f.release("1.0.0")
	f.leads("1.0.0", 10)
	doc := f.ways["1.0.0"]
	delete(f.ways, "1.0.0")
	good := f.next()
	key := newKey(t)
	public := tufKey(key)
	id, err := public.ID()
	if err != nil {
		t.Fatal(err)
	}
	info, err := metadata.TargetFile().FromBytes(manifest.WaysPath("1.0.0"), doc, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	more := metadata.Targets(start.AddDate(1, 0, 0))
	more.Signed.Targets[manifest.WaysPath("1.0.0")] = info
	delegated := seal(t, more, []ed25519.PrivateKey{key})
	f.onTargets = func(list *metadata.TargetsType) {
		list.Delegations = &metadata.Delegations{
			Keys:  map[string]*metadata.Key{id: public},
			Roles: []metadata.DelegatedRole{{Name: "helper", KeyIDs: []string{id}, Threshold: 1, Paths: []string{"ways/*"}}},
		}
	}
	f.onSnapshot = func(snap *metadata.SnapshotType) { snap.Meta["helper.json"] = f.meta(1, delegated) }
	files := f.next()
	files["metadata/1.helper.json"] = delegated
	files[fmt.Sprintf("targets/ways/%x.1.0.0.json", []byte(info.Hashes["sha256"]))] = doc

	// By TUF alone it would be found: the test is about something.
	flow := trust.Workflow{Source: manifesttest.NewSource(files), Trusted: trust.Trusted{Root: f.files["metadata/1.root.json"]}, Time: start}
	if err := flow.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := flow.Find(ctx, manifest.WaysPath("1.0.0")); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(good, false)
	for _, offline := range []bool{false, true} {
		if err := s.fails(files, offline); !errors.Is(err, manifest.ErrNewer) {
			t.Errorf("offline %v: %v", offline, err)
		}
		src := manifesttest.NewSource(files)
		if w, err := s.Ways(ctx, src, "1.0.0"); !errors.Is(err, fs.ErrNotExist) || len(src.Asked()) > 0 {
			t.Errorf("%v, %v, asked for %v", w, err, src.Asked())
		}
	}
}
