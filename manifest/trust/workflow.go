package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

const (
	snapshotName = metadata.SNAPSHOT + ".json"
	targetsName  = metadata.TARGETS + ".json"
)

// Trusted holds the documents that a client trusts, as they were signed. Missing ones are nil.
type Trusted struct {
	Root, Timestamp, Snapshot, Targets []byte
	Delegated                          map[string][]byte // by the name of the role
}

// Workflow is one pass through the client workflow of The Update Framework (section 5 of its specification, 1.0). It knows nothing of
// fleets: a Client stands on it, and the program in folder conformance runs the public test suite against it.
//
// Refresh comes first, then Find and Fetch as often as needed. A Workflow is used once and by one goroutine.
type Workflow struct {
	Source Source
	// Trusted is what was verified before; new documents may not fall behind it. Its Root must be there.
	Trusted Trusted
	// Time is the start of the update: documents that expired before it are refused. The zero Time refuses none.
	Time time.Time
	// Keep is called with each document that is new and verified, in the order of the specification; role is "root", "timestamp",
	// "snapshot", "targets" or a delegated role. Its error ends the pass. nil keeps nothing.
	Keep func(role string, data []byte) error

	set     *trustedmetadata.TrustedMetadata
	passed  Trusted                                    // verified in this pass, whether new or not
	refused *metadata.Metadata[metadata.TimestampType] // signed, but older than what is trusted
}

// Refresh verifies root, timestamp, snapshot and targets. What was verified before an error stays kept.
func (w *Workflow) Refresh(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	if _, err := w.roots(ctx); err != nil {
		return err
	}
	if err := w.timestamp(ctx, nil); err != nil {
		return err
	}
	if err := w.snapshot(ctx); err != nil {
		return err
	}
	return w.targets(ctx)
}

// begin loads the trusted root.
func (w *Workflow) begin() error {
	set, err := begin(w.Trusted.Root)
	if err != nil {
		return fmt.Errorf("the trust state is %w: %v", ErrDamaged, err)
	}
	set.RefTime = w.Time
	w.set, w.passed = set, Trusted{Root: w.Trusted.Root}
	return nil
}

func (w *Workflow) keep(role string, data []byte) error {
	if w.Keep == nil {
		return nil
	}
	return w.Keep(role, data)
}

// roots follows the chain of new roots. Each must be signed by the one before and by itself, without a gap: this is how keys are
// replaced and how a stolen key ends. Roots in between may have expired.
func (w *Workflow) roots(ctx context.Context) (rotated bool, err error) {
	for range maxRoots {
		path := versioned(w.set.Root.Signed.Version+1, metadata.ROOT)
		data, err := fetch(ctx, w.Source, path, maxRoot, false)
		if errors.Is(err, fs.ErrNotExist) {
			return rotated, nil
		}
		if err != nil {
			return false, err
		}
		if err := w.readRoot(path, data); err != nil {
			return false, err
		}
		if _, err := w.set.UpdateRoot(data); err != nil {
			if errors.Is(err, &metadata.ErrBadVersionNumber{}) {
				return false, notNext(path, w.set.Root.Signed.Version, data)
			}
			return false, classify(path, err)
		}
		w.passed.Root, rotated = data, true
		if err := w.keep(metadata.ROOT, data); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("the source is %w: more than %d new roots", ErrDamaged, maxRoots)
}

// readRoot looks into a new root in the order that is safe: first who signed it, then for which program it is, then what is in it.
func (w *Workflow) readRoot(path string, data []byte) error {
	root, err := parseRoot(path, data)
	if err != nil {
		return err
	}
	if err := w.signed(path, metadata.ROOT, metadata.ROOT, root); err != nil {
		return err
	}
	if err := checkHead(path, root.Signed.SpecVersion, root.Signed.Version); err != nil {
		return err
	}
	return checkRoot(path, root)
}

// signed stops a document that the keys of its delegator have not signed, before anything that it says is judged. document is a
// *metadata.Metadata of the role.
func (w *Workflow) signed(path, role, delegator string, document any) error {
	var err error
	if delegator == metadata.ROOT {
		if err = w.set.Root.VerifyDelegate(role, document); errors.Is(err, &metadata.ErrUnsignedMetadata{}) {
			return unsigned(path, w.set.Root, role, document)
		}
	} else {
		err = w.set.Targets[delegator].VerifyDelegate(role, document)
	}
	if err != nil {
		return classify(path, err)
	}
	return nil
}

// timestamp accepts the newest timestamp. It stops going back (an older timestamp, or one that names an older snapshot) and,
// by its expiry, a source that is frozen in the past. data is the timestamp where it was read before, else nil.
func (w *Workflow) timestamp(ctx context.Context, data []byte) error {
	if root := w.set.Root.Signed; root.IsExpired(w.Time) {
		return expired("the fleet's root", root.Expires)
	}
	if data == nil {
		var err error
		if data, err = fetch(ctx, w.Source, timestampPath, maxTimestamp, false); err != nil {
			return err
		}
	}
	m, err := w.readTimestamp(data)
	if err != nil {
		return err
	}
	if w.Trusted.Timestamp != nil {
		// An old timestamp whose key has been replaced does not verify: then it no longer counts (recovery from fast-forward).
		_, _ = w.set.UpdateTimestamp(w.Trusted.Timestamp)
	}
	_, err = w.set.UpdateTimestamp(data)
	switch {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		// Nothing newer; what an interrupted refresh left unfinished goes on from the timestamp that is here.
		if w.set.Timestamp.Signed.IsExpired(w.Time) {
			return expired("the manifest", w.set.Timestamp.Signed.Expires)
		}
		w.passed.Timestamp = w.Trusted.Timestamp
		return nil
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		w.refused = m
		return w.stale()
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return expired("the manifest", m.Signed.Expires)
	case err != nil:
		return classify(timestampPath, err)
	}
	w.passed.Timestamp = data
	return w.keep(metadata.TIMESTAMP, data)
}

func (w *Workflow) readTimestamp(data []byte) (*metadata.Metadata[metadata.TimestampType], error) {
	if err := checkJSON(timestampPath, data, maxTimestamp); err != nil {
		return nil, err
	}
	m, err := metadata.Timestamp().FromBytes(data)
	if err != nil {
		return nil, classify(timestampPath, err)
	}
	if err := w.signed(timestampPath, metadata.TIMESTAMP, metadata.ROOT, m); err != nil {
		return nil, err
	}
	if err := checkHead(timestampPath, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return nil, err
	}
	return m, checkMeta(timestampPath, m.Signed.Meta, snapshotName, maxSnapshot)
}

// stale says by how much the refused timestamp is behind.
func (w *Workflow) stale() error {
	old, m := w.set.Timestamp.Signed, w.refused.Signed
	if m.Version < old.Version {
		return fmt.Errorf("the manifest is %w (timestamp %d < %d)", ErrStale, m.Version, old.Version)
	}
	return fmt.Errorf("the manifest is %w (snapshot %d < %d)", ErrStale, m.Meta[snapshotName].Version, old.Meta[snapshotName].Version)
}

// snapshot accepts the snapshot that the timestamp names. It stops mixing documents of different moments.
func (w *Workflow) snapshot(ctx context.Context) error {
	meta := w.set.Timestamp.Signed.Meta[snapshotName]
	if old := w.Trusted.Snapshot; old != nil {
		_, err := w.set.UpdateSnapshot(old, true)
		if err == nil && meta.VerifyLengthHashes(old) == nil {
			w.passed.Snapshot = old
			return nil
		}
	}
	path := w.path(metadata.SNAPSHOT, meta.Version)
	data, err := fetch(ctx, w.Source, path, length(meta, maxSnapshot), true)
	if err != nil {
		return err
	}
	m, err := w.readSnapshot(path, data, meta)
	if err != nil {
		return err
	}
	_, err = w.set.UpdateSnapshot(data, false)
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return expired("the manifest", m.Signed.Expires)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return w.behind(m)
	case err != nil:
		return classify(path, err)
	}
	w.passed.Snapshot = data
	return w.keep(metadata.SNAPSHOT, data)
}

func (w *Workflow) readSnapshot(path string, data []byte, meta *metadata.MetaFiles) (*metadata.Metadata[metadata.SnapshotType], error) {
	// The hash comes before the parser: bytes that nobody signed are not looked into.
	if err := meta.VerifyLengthHashes(data); err != nil {
		return nil, classify(path, err)
	}
	if err := checkJSON(path, data, maxSnapshot); err != nil {
		return nil, err
	}
	m, err := metadata.Snapshot().FromBytes(data)
	if err != nil {
		return nil, classify(path, err)
	}
	if err := w.signed(path, metadata.SNAPSHOT, metadata.ROOT, m); err != nil {
		return nil, err
	}
	if err := checkHead(path, m.Signed.SpecVersion, m.Signed.Version); err != nil {
		return nil, err
	}
	if err := checkMeta(path, m.Signed.Meta, targetsName, maxTargets); err != nil {
		return nil, err
	}
	if m.Signed.Version != meta.Version {
		return nil, fmt.Errorf("%s is %w: the timestamp names version %d, this is %d", path, ErrDamaged, meta.Version, m.Signed.Version)
	}
	return m, nil
}

// behind says which list of a refused snapshot is older than the one that is trusted.
func (w *Workflow) behind(m *metadata.Metadata[metadata.SnapshotType]) error {
	for name, old := range w.set.Snapshot.Signed.Meta {
		if meta := m.Signed.Meta[name]; name != targetsName && meta != nil && meta.Version < old.Version {
			return fmt.Errorf("%.80q is %w (%d < %d)", name, ErrStale, meta.Version, old.Version)
		}
	}
	return staleNumber(m.Signed.Meta[targetsName].Version, w.set.Snapshot.Signed.Meta[targetsName].Version)
}

func staleNumber(theirs, ours int64) error {
	return fmt.Errorf("the manifest is %w (manifest %d < %d)", ErrStale, theirs, ours)
}
