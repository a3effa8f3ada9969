package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dhow/bundle"
	"dhow/manifest"
)

// one brings one blob from one source, going on where the part ends. It gives up after so many tries in a row that brought nothing. What
// does not fit a beginning that others gave is taken away again: the beginning may have been dear, and who is wrong is not known yet.
func (j *job) one(ctx context.Context, s *source, it *item, b manifest.Blob, most int) error {
	part, err := j.part(ctx, it, b)
	if err != nil {
		return err
	}
	defer func() { part.Close() }()
	gave := it.givers(b, part.Size())
	begun, before := part.Size(), gave[s]
	err = j.fill(ctx, s, it, b, part, most)
	if part.Size() > begun {
		gave[s] = true
	}
	if err != nil {
		return err
	}
	wrong := part.Check()
	if wrong != nil && begun == b.Size { // what was here is whole, and something else
		if err := part.Discard(); err != nil {
			return err
		}
		return j.one(ctx, s, it, b, most)
	}
	alone := len(gave) == 1 && gave[s] // all of it came from this source
	switch {
	case wrong == nil:
		if err := part.Finish(); err != nil {
			return err
		}
		if alone {
			blame(s, b, it.suspects[b.Digest])
		} else {
			blame(s, b, it.doubters(b))
		}
		return nil
	case alone:
		s.lied(s.named(wrong))
		return also(wrong, part.Discard())
	}
	if err := part.CutTo(ctx, begun); err != nil {
		return err
	}
	if !before {
		delete(gave, s)
	}
	if s.overLine() {
		it.doubts = append(it.doubts, doubt{s, b})
		return fmt.Errorf("blob %s is %w: what it gave of it does not fit what is here", b.Digest, bundle.ErrDamaged)
	}
	return j.beside(ctx, s, it, b, most)
}

// beside brings a whole blob from one source beside the part that is here, which goes only when the blob is right.
func (j *job) beside(ctx context.Context, s *source, it *item, b manifest.Blob, most int) error {
	part, err := j.store.Beside(ctx, b)
	if err != nil {
		return err
	}
	defer part.Close()
	if err := j.fill(ctx, s, it, b, part, most); err != nil {
		return err
	}
	if err := part.Finish(); err != nil {
		if errors.Is(err, bundle.ErrDamaged) {
			s.lied(s.named(err))
		}
		return err
	}
	blame(s, b, it.from[b.Digest])
	return nil
}

// fill makes a part as long as its blob.
func (j *job) fill(ctx context.Context, s *source, it *item, b manifest.Blob, part *bundle.PartialFile, most int) error {
	begun := part.Size()
	for tries := 0; ; {
		before := part.Size()
		err := j.piece(ctx, s, it, b, part)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errLonger):
			s.lied(s.named(err))
			return also(err, part.CutTo(ctx, begun))
		case errors.Is(err, ErrBusy), !errors.Is(err, bundle.ErrUnreachable): // for a busy one it was waited already
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
	if s.overLine() {
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

// arrived counts n bytes that have come, and of those over a line waits as long as the rate asks.
func (j *job) arrived(ctx context.Context, s *source, n int) error {
	j.list.came(n, s.overLine())
	if s.reach == Local {
		return nil
	}
	j.measure(n)
	if !s.overLine() {
		return nil
	}
	if j.opts.Gate != nil {
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

// part opens the part of one form of an item.
func (j *job) part(ctx context.Context, it *item, b manifest.Blob) (*bundle.PartialFile, error) {
	part, err := j.store.Partial(ctx, b)
	if err == nil {
		part.Unpack(it.Layer)
	}
	return part, err
}
