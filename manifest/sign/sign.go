package sign

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// refreshAfter is the age at which Sign makes a new timestamp even when nothing else changed.
const refreshAfter = 24 * time.Hour

// signers are the opened keys that Sign needs.
type signers struct {
	release, freshness signature.Signer
}

// Sign signs what the repository says. A new manifest number is given only when something changed or half of the lifetime of the
// last one is over; the freshness is renewed when it is older than a day. Repeating it after an interruption is safe.
func (r *Repository) Sign(pass []byte, now time.Time) (*Documents, error) {
	now = now.UTC().Truncate(time.Second)
	unlock, err := lock(r.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r.fleet.edited {
		return nil, fmt.Errorf("cannot sign: the changes to %s are not saved", r.fleet.path)
	}
	if err := r.fleet.unchanged(); err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	last, err := r.signed()
	if err != nil {
		return nil, err
	}
	if err := checkTime(last, now); err != nil {
		return nil, err
	}
	keys, err := r.signers(last.root, pass)
	if err != nil {
		return nil, err
	}
	next, err := r.build(last, keys, now)
	if err != nil {
		return nil, err
	}
	if err := r.verify(next, now); err != nil {
		return nil, err
	}
	if err := r.write(last, next); err != nil {
		return nil, err
	}
	d := next.documents()
	d.New = !bytes.Equal(next.files[timestampPath], last.files[timestampPath])
	d.Changes = changes(last.fleet, next.fleet)
	return d, nil
}

// checkTime refuses to sign with a clock that can't be right: what it signs would be expired or last for ever.
func checkTime(last *signed, now time.Time) error {
	root := last.root.Signed.Expires
	if now.After(root) {
		return fmt.Errorf("cannot sign: the root expired on %s; sign a new root first (and check this computer's clock: %s)",
			root.Format(time.DateOnly), now.Format(time.DateOnly))
	}
	begin := root.Add(-rootLife)
	if last.timestamp != nil {
		if text, ok := last.timestamp.Signed.UnrecognizedFields["made"].(string); ok {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				begin = at
			}
		}
	}
	// Computers of one team may differ by some minutes.
	if now.Add(time.Hour).Before(begin) {
		return fmt.Errorf("cannot sign: this computer's clock says %s, but the fleet was signed on %s already",
			now.Format(time.DateTime), begin.Format(time.DateTime))
	}
	return nil
}

// signers opens the keys and sees to it that the root names them.
func (r *Repository) signers(root *metadata.Metadata[metadata.RootType], pass []byte) (signers, error) {
	var s signers
	for _, k := range []struct {
		name   string
		signer *signature.Signer
		roles  []string
	}{
		{keyRelease, &s.release, []string{metadata.TARGETS}},
		{keyFreshness, &s.freshness, []string{metadata.SNAPSHOT, metadata.TIMESTAMP}},
	} {
		signer, public, err := loadKey(r.dir, k.name, pass)
		if err != nil {
			return s, err
		}
		id, err := public.ID()
		if err != nil {
			return s, fmt.Errorf("cannot open key %s: %w", k.name, err)
		}
		for _, role := range k.roles {
			if named := root.Signed.Roles[role]; named == nil || !slices.Contains(named.KeyIDs, id) {
				return s, fmt.Errorf("cannot sign: the key %s is not one that the root names for %s", k.name, role)
			}
		}
		*k.signer = signer
	}
	return s, nil
}

// build makes the next set of documents; parts that need no change are those of last.
func (r *Repository) build(last *signed, keys signers, now time.Time) (*signed, error) {
	next := &signed{root: last.root, files: map[string][]byte{}, fleet: &r.fleet.fleet}
	for path, data := range last.files {
		if strings.HasSuffix(path, ".root.json") {
			next.files[path] = data
		}
	}
	list, err := r.list(next, last)
	if err != nil {
		return nil, err
	}
	if last.targets != nil && same(last.targets.Signed.Targets, list) && !halfOver(last.targets.Signed.Expires, targetsLife, now) {
		next.targets = last.targets
	} else {
		next.targets = metadata.Targets(now.Add(targetsLife))
		next.targets.Signed.Targets = list
		next.targets.Signed.UnrecognizedFields = r.note(now)
		if last.targets != nil {
			next.targets.Signed.Version = last.targets.Signed.Version + 1
		}
		if _, err := next.targets.Sign(keys.release); err != nil {
			return nil, fmt.Errorf("cannot sign targets: %w", err)
		}
	}
	path := fmt.Sprintf("metadata/%d.targets.json", next.targets.Signed.Version)
	meta, err := add(next, last, path, next.targets, next.targets == last.targets)
	if err != nil {
		return nil, err
	}
	meta.Version = next.targets.Signed.Version

	if last.snapshot != nil && next.targets == last.targets && !halfOver(last.snapshot.Signed.Expires, snapshotLife, now) {
		next.snapshot = last.snapshot
	} else {
		next.snapshot = metadata.Snapshot(now.Add(snapshotLife))
		next.snapshot.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": meta}
		if last.snapshot != nil {
			next.snapshot.Signed.Version = last.snapshot.Signed.Version + 1
		}
		if _, err := next.snapshot.Sign(keys.freshness); err != nil {
			return nil, fmt.Errorf("cannot sign snapshot: %w", err)
		}
	}
	path = fmt.Sprintf("metadata/%d.snapshot.json", next.snapshot.Signed.Version)
	if meta, err = add(next, last, path, next.snapshot, next.snapshot == last.snapshot); err != nil {
		return nil, err
	}
	meta.Version = next.snapshot.Signed.Version

	fresh := last.timestamp != nil && now.Before(last.timestamp.Signed.Expires.Add(refreshAfter-timestampLife))
	if fresh && next.snapshot == last.snapshot {
		next.timestamp = last.timestamp
	} else {
		next.timestamp = metadata.Timestamp(now.Add(timestampLife))
		next.timestamp.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": meta}
		// Sites with a dead battery learn from here what time it is at least.
		next.timestamp.Signed.UnrecognizedFields = map[string]any{"made": now.Format(time.RFC3339)}
		if last.timestamp != nil {
			next.timestamp.Signed.Version = last.timestamp.Signed.Version + 1
		}
		if _, err := next.timestamp.Sign(keys.freshness); err != nil {
			return nil, fmt.Errorf("cannot sign timestamp: %w", err)
		}
	}
	_, err = add(next, last, timestampPath, next.timestamp, next.timestamp == last.timestamp)
	return next, err
}

// halfOver reports whether half of a document's life has passed.
func halfOver(expires time.Time, life time.Duration, now time.Time) bool {
	return now.After(expires.Add(-life / 2))
}

// add encodes m under path, or takes the bytes of last, and returns how the next document up names it.
func add[T metadata.Roles](next, last *signed, path string, m *metadata.Metadata[T], old bool) (*metadata.MetaFiles, error) {
	data := last.files[path]
	if !old {
		var err error
		if data, err = encode(m); err != nil {
			return nil, err
		}
	}
	next.files[path] = data
	info, err := metadata.TargetFile().FromBytes(path, data, "sha256")
	if err != nil {
		return nil, fmt.Errorf("cannot sign %s: %w", path, err)
	}
	return &metadata.MetaFiles{Length: info.Length, Hashes: info.Hashes}, nil
}

// list makes the list of targets, and adds their content to next.files.
func (r *Repository) list(next, last *signed) (map[string]*metadata.TargetFiles, error) {
	content := map[string][]byte{}
	var err error
	if content[manifest.FleetPath], err = r.fleet.fleet.Encode(); err != nil {
		return nil, err
	}
	versions, err := r.Releases()
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if content[manifest.ReleasePath(v)], _, err = r.release(v); err != nil {
			return nil, err
		}
	}
	list := map[string]*metadata.TargetFiles{}
	for name, data := range content {
		info, err := metadata.TargetFile().FromBytes(name, data, "sha256")
		if err != nil {
			return nil, fmt.Errorf("cannot sign %s: %w", name, err)
		}
		if last.targets != nil && name != manifest.FleetPath {
			if old := last.targets.Signed.Targets[name]; old != nil && !old.Equal(*info) {
				return nil, fmt.Errorf("cannot sign: %s is not what was signed before, and a release never changes: %w", name, ErrExists)
			}
		}
		list[name] = info
		next.files[targetPath(name, info)] = data
	}
	return list, nil
}

// verify reads the documents as a site would: what sites would refuse is never published.
func (r *Repository) verify(s *signed, now time.Time) error {
	first := s.files["metadata/1.root.json"]
	site, err := trust.Scratch(first, trust.Options{Now: func() time.Time { return now }})
	if err != nil {
		return fmt.Errorf("internal error: the root does not verify: %w", err)
	}
	if _, err := site.Refresh(context.Background(), documentMap(s.files), false); err != nil {
		return fmt.Errorf("cannot sign: sites would refuse this manifest: %w", err)
	}
	return nil
}

type documentMap map[string][]byte

func (m documentMap) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	data, ok := m[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return data, nil
}

// write puts new documents into the repository: contents first, timestamp.json last, each safely on disk before the next.
func (r *Repository) write(last, next *signed) error {
	// The lock is held: what lies half-written here is left of a signing that was killed.
	for _, dir := range []string{"metadata", "targets", "targets/releases"} {
		if err := durable.Clean(r.path(dir)); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
	}
	paths := names(next.files)
	rank := func(path string) int {
		switch {
		case path == timestampPath:
			return 3
		case strings.HasSuffix(path, ".snapshot.json"):
			return 2
		case strings.HasSuffix(path, ".targets.json"):
			return 1
		}
		return 0
	}
	slices.SortStableFunc(paths, func(a, b string) int { return rank(a) - rank(b) })
	for _, path := range paths {
		if old, ok := last.files[path]; ok && bytes.Equal(old, next.files[path]) {
			continue
		}
		file := r.path(path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
		if err := durable.WriteFile(file, next.files[path], 0o644); err != nil {
			return fmt.Errorf("cannot save signed documents: %w", err)
		}
	}
	return nil
}
