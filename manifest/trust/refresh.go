package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Refresh brings the newest manifest of src and returns the one that this site then has: an equal one is nothing new and no error.
// With offline set src is a stick or another folder at hand: it is accepted as a whole or not at all, and expiry is a warning.
func (c *Client) Refresh(ctx context.Context, src Source, offline bool) (*Manifest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := fetch(ctx, src, timestampPath, maxTimestamp, false)
	if err != nil {
		return nil, err
	}
	if c.unchanged(stamp, offline) {
		return c.current()
	}
	w := &walk{src: src, first: c.first, offline: offline, now: c.Time(), seen: c.opts.Seen, state: c.state, ahead: c.state.Ahead}
	if !offline {
		w.base, w.save = c.state.Ahead.over(c.state.Done), c.keep
	} else {
		w.base = c.state.Done
	}
	switch err := w.run(ctx, stamp); {
	case errors.Is(err, errSame):
		return c.current()
	case err != nil:
		return nil, c.late(err)
	}
	if err := c.keep(w.state); err != nil {
		return nil, err
	}
	return c.current()
}

// unchanged reports whether nothing is new, from the timestamp alone: most polls end here. It may, without asking for a newer root,
// because the fleet's timestamp says in its signed part which root is the newest; one that does not say it, or names another one
// than this site has, goes the whole way. So does, online, an expired manifest, and is refused there.
func (c *Client) unchanged(stamp []byte, offline bool) bool {
	if !bytes.Equal(stamp, c.state.Done.Timestamp) {
		return false
	}
	p, err := c.done()
	if err != nil || newestRoot(p.timestamp.Signed.UnrecognizedFields) != p.root.Signed.Version {
		return false
	}
	now := c.Time()
	return offline || c.state.Ahead.Timestamp == nil && !now.After(p.expires()) && !now.After(p.root.Signed.Expires)
}

// newestRoot returns the version of the root that was the newest when the timestamp was signed; 0 when it does not say.
func newestRoot(fields map[string]any) int64 {
	version, _ := fields["root"].(float64)
	if version < 1 || version > maxVersion || version != math.Trunc(version) {
		return 0
	}
	return int64(version)
}

// errSame ends a walk at which nothing new was found.
var errSame = errors.New("nothing new")

// walk is one pass through the client workflow (section 5 of the TUF specification) over a copy of the state.
type walk struct {
	src     Source
	first   []byte
	offline bool
	now     time.Time
	seen    int64
	base    documents         // what the new documents may not fall behind
	ahead   documents         // state.Ahead at the beginning
	done    documents         // what was verified in this walk
	state   state             // grows as documents are verified
	save    func(state) error // online: keeps the state after each document; offline nil
	set     *trustedmetadata.TrustedMetadata
}

func (w *walk) run(ctx context.Context, stamp []byte) error {
	var err error
	if w.set, err = trustedmetadata.New(w.state.Root); err != nil {
		return fmt.Errorf("the trust state is %w: %w", ErrDamaged, err)
	}
	// The workflow judges expiry itself by RefTime. A stick is judged by nobody here: its expiry becomes a warning.
	w.set.RefTime = w.now
	if w.offline {
		w.set.RefTime = time.Time{}
	}
	rotated, err := w.roots(ctx)
	if err != nil {
		return err
	}
	if rotated {
		// The timestamp was read before the new roots: it may still be one of the old keys.
		if stamp, err = fetch(ctx, w.src, timestampPath, maxTimestamp, false); err != nil {
			return err
		}
	}
	if err := w.timestamp(ctx, stamp); err != nil {
		return err
	}
	if err := w.snapshot(ctx); err != nil {
		return err
	}
	if err := w.targets(ctx); err != nil {
		return err
	}
	return w.fleet(ctx)
}

// roots follows the chain of new roots. Each must be signed by the one before and by itself, without a gap: this is how keys are
// replaced and how a stolen key ends.
func (w *walk) roots(ctx context.Context) (rotated bool, err error) {
	for range maxRoots {
		path := versioned(w.set.Root.Signed.Version+1, metadata.ROOT)
		data, err := fetch(ctx, w.src, path, maxRoot, false)
		if errors.Is(err, fs.ErrNotExist) {
			return rotated, nil
		}
		if err != nil {
			return false, err
		}
		if err := w.readRoot(ctx, path, data); err != nil {
			return false, err
		}
		if _, err := w.set.UpdateRoot(data); err != nil {
			if errors.Is(err, &metadata.ErrBadVersionNumber{}) {
				return false, fmt.Errorf("%s is %w: it is another version", path, ErrDamaged)
			}
			return false, w.blame(ctx, classify(path, err))
		}
		if !bytes.Equal(w.state.Root, w.first) {
			w.state.Between = append(slices.Clip(w.state.Between), w.state.Root)
		}
		w.state.Root, rotated = data, true
		if err := w.keep(); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("the source is %w: more than %d new roots", ErrDamaged, maxRoots)
}

// readRoot looks into a new root in the order that is safe: first who signed it, then for which program it is, then what is in it.
func (w *walk) readRoot(ctx context.Context, path string, data []byte) error {
	root, err := parseRoot(path, data)
	if err != nil {
		return w.blame(ctx, err)
	}
	if err := w.signed(ctx, path, metadata.ROOT, root); err != nil {
		return err
	}
	if err := checkHead(path, root.Signed.SpecVersion, root.Signed.Version); err != nil {
		return err
	}
	return checkRoot(path, root)
}

// signed stops a document that the present root's keys have not signed, before anything that it says is judged. document is a
// *metadata.Metadata of the role.
func (w *walk) signed(ctx context.Context, path, role string, document any) error {
	if err := w.set.Root.VerifyDelegate(role, document); err != nil {
		return w.blame(ctx, classify(path, err))
	}
	return nil
}

func (w *walk) keep() error {
	if w.save == nil {
		return nil
	}
	return w.save(w.state)
}

// blame tells a forgery from an honest source of another fleet: the latter begins with another root.
func (w *walk) blame(ctx context.Context, err error) error {
	if !errors.Is(err, ErrForged) && !errors.Is(err, ErrDamaged) {
		return err
	}
	ours, errOurs := selfSigned(w.first)
	if errOurs != nil {
		return err
	}
	theirs, errTheirs := fetch(ctx, w.src, versioned(ours.Signed.Version, metadata.ROOT), maxRoot, false)
	if errTheirs != nil {
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
