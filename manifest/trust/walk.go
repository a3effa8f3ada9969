package trust

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

const (
	snapshotName = metadata.SNAPSHOT + ".json"
	targetsName  = metadata.TARGETS + ".json"
)

// timestamp accepts the newest timestamp. It stops going back (an older timestamp, or one that names an older snapshot) and,
// by its expiry, a source that is frozen in the past.
func (w *walk) timestamp(ctx context.Context, stamp []byte) error {
	if err := checkJSON(timestampPath, stamp, maxTimestamp); err != nil {
		return err
	}
	m, err := metadata.Timestamp().FromBytes(stamp)
	if err != nil {
		return classify(timestampPath, err)
	}
	if err := w.signed(ctx, timestampPath, metadata.TIMESTAMP, m); err != nil {
		return err
	}
	if err := checkHead(timestampPath, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return err
	}
	if err := checkMeta(timestampPath, m.Signed.Meta, snapshotName, maxSnapshot); err != nil {
		return err
	}
	if root := w.set.Root.Signed; root.IsExpired(w.set.RefTime) {
		return expired("the fleet's root", root.Expires)
	}
	if w.base.Timestamp != nil {
		// An old timestamp whose key has been replaced does not verify: then it no longer counts (recovery from fast-forward).
		_, _ = w.set.UpdateTimestamp(w.base.Timestamp)
	}
	_, err = w.set.UpdateTimestamp(stamp)
	switch {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		// Nothing newer; what an interrupted refresh left unfinished goes on from the timestamp that is here.
		if w.set.Timestamp.Signed.IsExpired(w.set.RefTime) {
			return expired("the manifest", w.set.Timestamp.Signed.Expires)
		}
		w.done.Timestamp = w.base.Timestamp
		return nil
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return w.stale(ctx, m)
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return expired("the manifest", m.Signed.Expires)
	case err != nil:
		return w.blame(ctx, classify(timestampPath, err))
	}
	w.done.Timestamp, w.state.Ahead.Timestamp = stamp, stamp
	return w.keep()
}

// stale says by how much a timestamp that is signed, but too old, is behind. A stick whose manifest has the same number holds
// nothing older in truth: only its signature of freshness is. It then counts as nothing new, and is good as a source of bytes.
func (w *walk) stale(ctx context.Context, m *metadata.Metadata[metadata.TimestampType]) error {
	old := w.set.Timestamp.Signed
	plain := fmt.Errorf("the manifest is %w (timestamp %d < %d)", ErrStale, m.Signed.Version, old.Version)
	if m.Signed.Version >= old.Version {
		plain = fmt.Errorf("the manifest is %w (snapshot %d < %d)", ErrStale,
			m.Signed.Meta[snapshotName].Version, old.Meta[snapshotName].Version)
	}
	meta := m.Signed.Meta[snapshotName]
	path := versioned(meta.Version, metadata.SNAPSHOT)
	data, err := fetch(ctx, w.src, path, length(meta, maxSnapshot), true)
	if err != nil || checkJSON(path, data, maxSnapshot) != nil || meta.VerifyLengthHashes(data) != nil {
		return plain
	}
	s, err := metadata.Snapshot().FromBytes(data)
	if err != nil || w.set.Root.VerifyDelegate(metadata.SNAPSHOT, s) != nil || s.Signed.Meta[targetsName] == nil {
		return plain
	}
	theirs, ours := s.Signed.Meta[targetsName].Version, w.base.number()
	switch {
	case theirs < ours:
		return staleNumber(theirs, ours)
	case theirs == ours && w.offline && w.state.Done.Fleet != nil:
		return errSame
	}
	return plain
}

func staleNumber(theirs, ours int64) error {
	return fmt.Errorf("the manifest is %w (manifest %d < %d)", ErrStale, theirs, ours)
}

// snapshot accepts the snapshot that the timestamp names. It stops mixing documents of different moments.
func (w *walk) snapshot(ctx context.Context) error {
	meta := w.set.Timestamp.Signed.Meta[snapshotName]
	if base := w.base.Snapshot; base != nil {
		_, err := w.set.UpdateSnapshot(base, true)
		if err == nil && meta.VerifyLengthHashes(base) == nil {
			w.done.Snapshot = base
			return nil
		}
	}
	path := versioned(meta.Version, metadata.SNAPSHOT)
	data, err := fetch(ctx, w.src, path, length(meta, maxSnapshot), true)
	if err != nil {
		return err
	}
	// The hash comes before the parser: bytes that nobody signed are not looked into.
	if err := meta.VerifyLengthHashes(data); err != nil {
		return classify(path, err)
	}
	if err := checkJSON(path, data, maxSnapshot); err != nil {
		return err
	}
	m, err := metadata.Snapshot().FromBytes(data)
	if err != nil {
		return classify(path, err)
	}
	if err := w.signed(ctx, path, metadata.SNAPSHOT, m); err != nil {
		return err
	}
	if err := checkHead(path, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return err
	}
	if err := checkMeta(path, m.Signed.Meta, targetsName, maxTargets); err != nil {
		return err
	}
	if m.Signed.Version != meta.Version {
		return fmt.Errorf("%s is %w: the timestamp names version %d, this is %d", path, ErrDamaged, meta.Version, m.Signed.Version)
	}
	_, err = w.set.UpdateSnapshot(data, false)
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return expired("the manifest", m.Signed.Expires)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return staleNumber(m.Signed.Meta[targetsName].Version, w.base.number())
	case err != nil:
		return w.blame(ctx, classify(path, err))
	}
	w.done.Snapshot, w.state.Ahead.Snapshot = data, data
	return w.keep()
}

// targets accepts the signed list of documents that the snapshot names.
func (w *walk) targets(ctx context.Context) error {
	meta := w.set.Snapshot.Signed.Meta[targetsName]
	if err := w.notOlder(meta.Version); err != nil {
		return err
	}
	if base := w.base.Targets; base != nil && meta.VerifyLengthHashes(base) == nil {
		if _, err := w.set.UpdateTargets(base); err == nil {
			w.done.Targets = base
			return nil
		}
	}
	path := versioned(meta.Version, metadata.TARGETS)
	data, err := fetch(ctx, w.src, path, length(meta, maxTargets), true)
	if err != nil {
		return err
	}
	// The hash comes before the parser: bytes that nobody signed are not looked into.
	if err := meta.VerifyLengthHashes(data); err != nil {
		return classify(path, err)
	}
	if err := checkJSON(path, data, maxTargets); err != nil {
		return err
	}
	m, err := metadata.Targets().FromBytes(data)
	if err != nil {
		return classify(path, err)
	}
	if err := w.signed(ctx, path, metadata.TARGETS, m); err != nil {
		return err
	}
	if err := checkHead(path, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return err
	}
	if m.Signed.Delegations != nil {
		return fmt.Errorf("%s: %w: it delegates to other lists", path, manifest.ErrNewer)
	}
	if m.Signed.Version != meta.Version {
		return fmt.Errorf("%s is %w: the snapshot names version %d, this is %d", path, ErrDamaged, meta.Version, m.Signed.Version)
	}
	_, err = w.set.UpdateTargets(data)
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return expired("the manifest", m.Signed.Expires)
	case err != nil:
		return w.blame(ctx, classify(path, err))
	}
	w.done.Targets, w.state.Ahead.Targets = data, data
	return w.keep()
}

// notOlder holds the number of the manifest itself against going back. The snapshot's own check ends when its key is replaced; this
// one ends only when the key of the targets is, which is how a fleet begins to count anew.
func (w *walk) notOlder(number int64) error {
	ours := w.state.Done.number()
	if ours > 0 {
		old, err := metadata.Targets().FromBytes(w.state.Done.Targets)
		if err != nil || w.set.Root.VerifyDelegate(metadata.TARGETS, old) != nil {
			return nil
		}
	}
	if number < ours {
		return staleNumber(number, ours)
	}
	// What the journal remembers counts when the state here is behind it: state was lost.
	if ours < w.seen && number < w.seen {
		return staleNumber(number, w.seen)
	}
	return nil
}

// target fetches the content of the target name, which stands in dir under its digest and name.
func target(ctx context.Context, src Source, dir, name string, info *metadata.TargetFiles, limit int64) ([]byte, error) {
	sum := info.Hashes["sha256"]
	path := dir + hex.EncodeToString(sum) + "." + name
	if len(sum) != 32 || info.Length < 0 || info.Length > limit {
		return nil, fmt.Errorf("%s is %w: the signed list gives it no sha256 or an impossible length", path, ErrDamaged)
	}
	data, err := fetch(ctx, src, path, info.Length, true)
	if err != nil {
		return nil, err
	}
	if err := info.VerifyLengthHashes(data); err != nil {
		return nil, classify(path, err)
	}
	return data, nil
}

// checkMeta sees to it that the one entry that matters is there and possible.
func checkMeta(path string, meta map[string]*metadata.MetaFiles, name string, limit int64) error {
	entry := meta[name]
	if entry == nil || entry.Version < 1 || entry.Version > maxVersion || entry.Length < 0 || entry.Length > limit {
		return fmt.Errorf("%s is %w: it does not name %s", path, ErrDamaged, name)
	}
	return nil
}

func length(meta *metadata.MetaFiles, limit int64) int64 {
	if meta.Length > 0 && meta.Length < limit {
		return meta.Length
	}
	return limit
}
