package sign

import (
	"fmt"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// targets makes the list of what the repository says: that of last where it says the same, half of its life is not over and root still
// names those who signed it; otherwise a new one that nobody has signed yet.
func (r *Repository) targets(last *signed, root *metadata.Metadata[metadata.RootType], now time.Time) (*signed, error) {
	fleet, err := r.resolve(last)
	if err != nil {
		return nil, err
	}
	next := &signed{root: root, files: map[string][]byte{}, fleet: fleet}
	for path, data := range last.files {
		if strings.HasSuffix(path, ".root.json") {
			next.files[path] = data
		}
	}
	list, err := r.list(next, last)
	if err != nil {
		return nil, err
	}
	if old := last.targets; old != nil && same(old.Signed.Targets, list) && !halfOver(old.Signed.Expires, targetsLife, now) &&
		root.VerifyDelegate(metadata.TARGETS, old) == nil {
		next.targets = old
		return next, nil
	}
	next.targets = metadata.Targets(now.Add(targetsLife))
	next.targets.Signed.Targets = list
	next.targets.Signed.UnrecognizedFields = r.note(now)
	if last.targets != nil {
		next.targets.Signed.Version = last.targets.Signed.Version + 1
	}
	return next, nil
}

// freshen adds snapshot and timestamp to next, whose root and targets stand; parts that need no change are those of last.
func freshen(last, next *signed, keys *authority, now time.Time) error {
	path := fmt.Sprintf("metadata/%d.targets.json", next.targets.Signed.Version)
	meta, err := add(next, last, path, next.targets, next.targets == last.targets)
	if err != nil {
		return err
	}
	meta.Version = next.targets.Signed.Version

	if old := last.snapshot; old != nil && next.targets == last.targets && !halfOver(old.Signed.Expires, snapshotLife, now) &&
		next.root.VerifyDelegate(metadata.SNAPSHOT, old) == nil {
		next.snapshot = old
	} else {
		next.snapshot = metadata.Snapshot(now.Add(snapshotLife))
		next.snapshot.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": meta}
		if old != nil {
			next.snapshot.Signed.Version = old.Signed.Version + 1
		}
		if err := signAs(keys, metadata.SNAPSHOT, next.snapshot); err != nil {
			return err
		}
	}
	path = fmt.Sprintf("metadata/%d.snapshot.json", next.snapshot.Signed.Version)
	if meta, err = add(next, last, path, next.snapshot, next.snapshot == last.snapshot); err != nil {
		return err
	}
	meta.Version = next.snapshot.Signed.Version

	if old := last.timestamp; old != nil && next.snapshot == last.snapshot &&
		now.Before(old.Signed.Expires.Add(refreshAfter-timestampLife)) && namedRoot(old) == next.root.Signed.Version {
		next.timestamp = old
	} else {
		next.timestamp = metadata.Timestamp(now.Add(timestampLife))
		next.timestamp.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": meta}
		// Sites with a dead battery learn from here what time it is at least, and all of them whether there is a new root.
		next.timestamp.Signed.UnrecognizedFields = map[string]any{
			"made": now.Format(time.RFC3339),
			"root": next.root.Signed.Version,
		}
		if old != nil {
			next.timestamp.Signed.Version = old.Signed.Version + 1
		}
		if err := signAs(keys, metadata.TIMESTAMP, next.timestamp); err != nil {
			return err
		}
	}
	_, err = add(next, last, timestampPath, next.timestamp, next.timestamp == last.timestamp)
	return err
}

// namedRoot returns the version of the root that a timestamp names, or 0.
func namedRoot(m *metadata.Metadata[metadata.TimestampType]) int64 {
	switch n := m.Signed.UnrecognizedFields["root"].(type) {
	case int64: // not encoded yet
		return n
	case float64:
		return int64(n)
	}
	return 0
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
	fleet, err := next.fleet.Encode()
	if err != nil {
		return nil, err
	}
	content[manifest.FleetPath], content[manifest.SitesPath] = fleet.Fleet, fleet.Sites
	parts, err := fleet.Parts()
	if err != nil {
		return nil, err
	}
	for _, b := range parts {
		if next.files[manifest.PartPath(b.Digest)], err = fleet.Part(b); err != nil {
			return nil, err
		}
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
	if err := r.listWays(next.fleet, content); err != nil {
		return nil, err
	}
	if err := r.listAgents(next.fleet, content); err != nil {
		return nil, err
	}
	list := map[string]*metadata.TargetFiles{}
	for name, data := range content {
		info, err := metadata.TargetFile().FromBytes(name, data, "sha256")
		if err != nil {
			return nil, fmt.Errorf("cannot sign %s: %w", name, err)
		}
		if last.targets != nil && strings.HasPrefix(name, "releases/") {
			if old := last.targets.Signed.Targets[name]; old != nil && !old.Equal(*info) {
				return nil, fmt.Errorf("cannot sign: %s is not what was signed before, and a release never changes: %w", name, ErrExists)
			}
		}
		list[name] = info
		next.files[targetPath(name, info)] = data
	}
	return list, nil
}
