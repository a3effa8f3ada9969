package trust

import (
	"bytes"
	"context"
	"errors"
	"math"
)

// Refresh brings the newest manifest of src and returns the one that this site then has: an equal one is nothing new and no error.
// With offline set src is a stick or another folder at hand: it is accepted as a whole or not at all, and expiry is a warning.
func (c *Client) Refresh(ctx context.Context, src Source, offline bool) (*Manifest, error) {
	c.work.Lock()
	defer c.work.Unlock()
	stamp, err := fetch(ctx, src, timestampPath, maxTimestamp, false)
	if err != nil {
		return nil, err
	}
	w := c.toWalk(src, stamp, offline)
	if w == nil {
		return c.Current()
	}
	switch err := w.run(ctx, stamp); {
	case errors.Is(err, errSame):
		return c.Current()
	case err != nil:
		return nil, c.late(err)
	}
	if err := c.keep(w.state); err != nil {
		return nil, err
	}
	return c.Current()
}

// toWalk begins a walk, unless the timestamp says that nothing is new: then it returns nil.
func (c *Client) toWalk(src Source, stamp []byte, offline bool) *walk {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unchanged(stamp, offline) {
		return nil
	}
	return c.newWalk(src, offline)
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
