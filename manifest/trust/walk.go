package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
)

// walk is one pass of a site: the Workflow and, on top of it, what a fleet asks for beyond TUF.
type walk struct {
	Workflow
	first   []byte // the root given at install
	offline bool
	seen    int64
	site    string            // for whom; empty: everything
	base    documents         // what the new documents may not fall behind
	ahead   documents         // state.Ahead at the beginning
	done    documents         // what was verified in this walk
	state   state             // grows as documents are verified
	certain time.Time         // the computer's clock, or what has passed by the program itself
	save    func(state) error // online: keeps the state after each document; offline nil
}

// newWalk begins a walk of the client. The workflow judges expiry itself by Time; a stick is judged by nobody here: its expiry becomes
// a warning.
func (c *Client) newWalk(src Source, offline bool) *walk {
	w := &walk{first: c.first, offline: offline, seen: c.opts.Seen, site: c.opts.Site, state: c.state, ahead: c.state.Ahead, base: c.state.Done}
	w.certain = Clock{Now: c.opts.Now().UTC(), Floor: c.opts.Floor.UTC()}.Time()
	var now time.Time
	if !offline {
		w.base, w.save, now = c.state.Ahead.over(c.state.Done), c.keep, c.Time()
	}
	w.Workflow = Workflow{
		Source: src, Time: now, Keep: w.accept,
		Trusted: Trusted{Root: c.state.Root, Timestamp: w.base.Timestamp, Snapshot: w.base.Snapshot, Targets: w.base.Targets},
	}
	return w
}

// accept takes a verified document into the state, on disk at once when online.
func (w *walk) accept(role string, data []byte) error {
	switch role {
	case metadata.ROOT:
		if err := checkFleetRoot(versioned(w.set.Root.Signed.Version, role), w.set.Root); err != nil {
			return err
		}
		if !bytes.Equal(w.state.Root, w.first) {
			w.state.Between = append(slices.Clip(w.state.Between), w.state.Root)
		}
		w.state.Root = data
	case metadata.TIMESTAMP:
		w.state.Ahead.Timestamp = data
	case metadata.SNAPSHOT:
		w.state.Ahead.Snapshot = data
	case metadata.TARGETS:
		w.state.Ahead.Targets = data
	}
	if w.save == nil {
		return nil
	}
	return w.save(w.state)
}

// run goes the whole way. stamp is the timestamp that was read before it.
func (w *walk) run(ctx context.Context, stamp []byte) error {
	err := w.steps(ctx, stamp)
	if errors.Is(err, ErrForged) || errors.Is(err, ErrDamaged) {
		return w.blame(ctx, err)
	}
	return err
}

// forgive forgets the newest signing time that was seen, when the key that signed it has been replaced: a thief of it could have named a
// time years ahead, after which every manifest seems expired. What else has certainly passed still counts.
func (w *walk) forgive() {
	stamp := w.state.Done.Timestamp
	if stamp == nil {
		return
	}
	if m, err := metadata.Timestamp().FromBytes(stamp); err == nil && w.set.Root.VerifyDelegate(metadata.TIMESTAMP, m) == nil {
		return
	}
	w.state.Floor = time.Time{}
	if !w.offline {
		w.Time, w.set.RefTime = w.certain, w.certain
	}
}

func (w *walk) steps(ctx context.Context, stamp []byte) error {
	if err := w.begin(); err != nil {
		return err
	}
	rotated, err := w.roots(ctx)
	if err != nil {
		return err
	}
	w.forgive()
	if rotated {
		stamp = nil // it was read before the new roots: it may still be one of the old keys
	}
	switch err := w.timestamp(ctx, stamp); {
	case errors.Is(err, ErrStale):
		return w.explain(ctx, err)
	case err != nil:
		return err
	}
	if err := w.snapshot(ctx); err != nil {
		return err
	}
	if err := w.notOlder(w.set.Snapshot.Signed.Meta[targetsName].Version); err != nil {
		return err
	}
	if err := w.targets(ctx); err != nil {
		return err
	}
	if w.set.Targets[metadata.TARGETS].Signed.Delegations != nil {
		return fmt.Errorf("the manifest: %w: it delegates to other lists", manifest.ErrNewer)
	}
	w.done = documents{Timestamp: w.passed.Timestamp, Snapshot: w.passed.Snapshot, Targets: w.passed.Targets}
	return w.fleet(ctx)
}

// explain says by how much a timestamp that is signed, but too old, is behind. A stick whose manifest has the same number holds
// nothing older in truth: only its signature of freshness is. It then counts as nothing new, and is good as a source of bytes.
func (w *walk) explain(ctx context.Context, plain error) error {
	meta := w.refused.Signed.Meta[snapshotName]
	path := w.path(metadata.SNAPSHOT, meta.Version)
	data, err := fetch(ctx, w.Source, path, length(meta, maxSnapshot), true)
	if err != nil {
		return plain
	}
	m, err := w.readSnapshot(path, data, meta)
	if err != nil {
		return plain
	}
	theirs, ours := m.Signed.Meta[targetsName].Version, w.base.number()
	switch {
	case theirs < ours:
		return staleNumber(theirs, ours)
	case theirs == ours && w.offline && w.state.Done.Fleet != nil:
		return errSame
	}
	return plain
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

// blame tells a forgery from an honest source of another fleet: the latter begins with another root.
func (w *walk) blame(ctx context.Context, err error) error {
	ours, errOurs := metadata.Root().FromBytes(w.first)
	if errOurs != nil {
		return err
	}
	theirs, errTheirs := fetch(ctx, w.Source, versioned(ours.Signed.Version, metadata.ROOT), maxRoot, false)
	if errTheirs != nil || bytes.Equal(theirs, w.first) {
		return err
	}
	a, errA := identity(w.first)
	b, errB := identity(theirs)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		return err
	}
	mine, errMine := Fingerprint(w.first)
	other, errOther := Fingerprint(theirs)
	if errMine != nil || errOther != nil {
		return err
	}
	return fmt.Errorf("the manifest is %w: its root is %s, this site trusts %s", ErrOtherFleet, other, mine)
}
