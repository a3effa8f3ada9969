package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dhow/bundle"
	"dhow/manifest"
)

// one brings one blob from one source, going on where the part ends. It gives up after so many tries in a row that brought nothing.
func (j *job) one(ctx context.Context, s *source, it *item, b manifest.Blob, most int) error {
	part, err := j.store.Partial(ctx, b)
	if err != nil {
		return err
	}
	defer func() { part.Close() }()
	gave := it.from[b.Digest]
	if gave == nil || part.Size() == 0 {
		gave = map[*source]bool{}
		it.from[b.Digest] = gave
	}
	begun := part.Size()
	fresh := begun == 0 // all of the part came from this source
	for tries := 0; ; {
		before := part.Size()
		err := j.piece(ctx, s, it, b, part)
		if part.Size() > before {
			gave[s] = true
		}
		if err == nil {
			if err = part.Finish(); err == nil {
				if fresh {
					blame(gave, s, b)
				}
				return nil
			}
			if !errors.Is(err, bundle.ErrDamaged) {
				return err
			}
			if fresh {
				s.lied(s.named(err))
				return err
			}
			// The beginning, which came earlier or from another source, may be what is wrong.
			if part, err = j.store.Partial(ctx, b); err != nil {
				return err
			}
			begun, fresh = 0, true
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case errors.Is(err, ErrBusy): // it was waited for already
			return err
		case errors.Is(err, errLonger):
			s.lied(s.named(err))
			return also(err, part.CutTo(ctx, begun))
		case !errors.Is(err, bundle.ErrUnreachable):
			return err
		}
		if part.Size() > before { // bytes that begin anew every time are no progress
			tries = 0
		} else if tries++; tries >= most {
			return err
		}
		if err := sleep(ctx, j.opts.Pause); err != nil {
			return err
		}
	}
}

// blame notes that others gave bytes for a beginning that turned out to be wrong, when s alone brought the right content.
func blame(gave map[*source]bool, s *source, b manifest.Blob) {
	for other := range gave {
		if other != s {
			other.lied(other.named(fmt.Errorf("blob %s is %w: what it gave of it is something else", b.Digest, bundle.ErrDamaged)))
		}
	}
}

// errLonger is content that doesn't end where it should.
var errLonger = fmt.Errorf("%w: longer", bundle.ErrDamaged)

// ranger is a source that says where its answer begins.
type ranger interface {
	openAt(ctx context.Context, b manifest.Blob, offset int64) (body io.ReadCloser, start int64, err error)
}

// piece appends to the part what one request brings. It returns nil when the part is as long as b.
func (j *job) piece(parent context.Context, s *source, it *item, b manifest.Blob, part *bundle.PartialFile) error {
	if part.Size() == b.Size {
		return nil
	}
	ctx, stop, alive := stallContext(parent, j.opts.StallTimeout)
	defer stop()
	body, start, err := openAt(ctx, s.Source, b, part.Size())
	if err != nil {
		return err
	}
	defer body.Close()
	skip := part.Size() - start // the server began anew: what is here already passes by, and stays if the line breaks before
	buf := make([]byte, 64<<10)
	if s.reach != Local {
		buf = buf[:j.pace.piece(len(buf))]
	}
	for {
		n, err := body.Read(buf)
		if n > 0 {
			alive()
			fresh := buf[min(skip, int64(n)):n]
			skip -= int64(n - len(fresh))
			if part.Size()+int64(len(fresh)) > b.Size {
				j.list.came(n, s.overLine())
				return fmt.Errorf("blob %s is %w than its %d bytes", b.Digest, errLonger, b.Size)
			}
			if _, err := part.Write(fresh); err != nil {
				return fmt.Errorf("cannot store blob: %w", err)
			}
			j.list.has(it, b, part.Size())
			if err := j.arrived(ctx, s, n); err != nil {
				return err
			}
			alive()
		}
		switch {
		case err == nil:
			continue
		case err != io.EOF && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != io.EOF:
			if !ofSource(err) {
				err = unreadable(err)
			}
			return err
		case part.Size() < b.Size:
			return fmt.Errorf("blob %s: %w: it ended after %d of %d bytes", b.Digest, bundle.ErrUnreachable, part.Size(), b.Size)
		}
		return nil
	}
}

// arrived counts n bytes that have come and are kept, and waits as long as the rate asks.
func (j *job) arrived(ctx context.Context, s *source, n int) error {
	j.list.came(n, s.overLine())
	if s.reach == Local {
		return nil
	}
	j.measure(n)
	if s.overLine() && j.opts.Gate != nil {
		j.gate.Lock()
		err := j.opts.Gate(ctx, n)
		j.gate.Unlock()
		if err != nil {
			return &gateError{err}
		}
	}
	return j.pace.wait(ctx, n)
}

func openAt(ctx context.Context, src bundle.Source, b manifest.Blob, offset int64) (io.ReadCloser, int64, error) {
	if r, ok := src.(ranger); ok {
		return r.openAt(ctx, b, offset)
	}
	body, err := src.Blob(ctx, b, offset)
	return body, offset, err
}
