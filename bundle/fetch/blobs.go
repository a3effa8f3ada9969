package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// attempts is how often in a row a source may bring nothing before it is given up.
const attempts = 3

// Options of Blobs. The zero value is right for most.
type Options struct {
	// Progress is called with the bytes that are there and the bytes of all wants, from one goroutine.
	Progress func(done, total int64)
	// Rate is the most that comes over a line in a second, in bytes; 0 means no limit. Sources of this computer have none.
	Rate int64
	// StallTimeout is how long a source may be silent; 0 means a minute.
	StallTimeout time.Duration
	// Gate is called for each piece of n bytes that came over a line and is kept: not from this computer, nor from the LAN. Its error ends
	// all transfers at once and is returned as it is; parts stay.
	Gate func(ctx context.Context, n int) error
	// Pause is the time before a source that broke off is asked again; 0 means a second.
	Pause time.Duration
}

// Moved is what came from sources. Line is the part of Bytes that came over a line: not from this computer, nor from the LAN. Active is the
// time in which something was under way over a line, waits and new connections included.
type Moved struct {
	Bytes, Line int64
	Active      time.Duration
}

// Blobs brings wants into the store, each in the first of its forms that the first of sources has, and returns what came. It leaves
// out what the store has. A transfer that breaks off goes on where it was, as long as bytes come; then the next source is tried. A source
// that is read front to back (bundle.Streamer) is read to its end, and when it turns out to be damaged or unsafe nothing that came from
// it stays, unless a later source completes what is missing. When ctx ends Blobs returns at once, and parts stay for another time.
func Blobs(ctx context.Context, store *bundle.Store, sources []bundle.Source, wants []Want, opts Options) (Moved, error) {
	if opts.StallTimeout <= 0 {
		opts.StallTimeout = stallTimeout
	}
	if opts.Pause <= 0 {
		opts.Pause = time.Second
	}
	j := &job{store: store, opts: opts, pace: pace{rate: opts.Rate}}
	seen := map[digest.Digest]bool{}
	for _, w := range wants {
		if err := w.check(); err != nil {
			return Moved{}, err
		}
		if seen[w.Forms[0].Digest] {
			continue
		}
		seen[w.Forms[0].Digest] = true
		j.total += w.Size()
		if w.In(store) {
			j.done += w.Size()
			continue
		}
		j.left = append(j.left, w)
	}
	j.progress(0)
	count := len(j.left)
	var failed failures
	for _, src := range sources {
		if len(j.left) == 0 {
			break
		}
		err := j.from(ctx, src)
		if ctx.Err() != nil {
			return j.moved, context.Cause(ctx)
		}
		if g := (*gateError)(nil); errors.As(err, &g) {
			return j.moved, g.err
		}
		if err == nil {
			continue
		}
		if !ofSource(err) { // the disk is full or broken: another source won't help
			return j.moved, err
		}
		if len(j.left) == 0 {
			return j.moved, j.refuse(err)
		}
		failed = append(failed, err)
	}
	if len(j.left) == 0 {
		return j.moved, nil
	}
	return j.moved, j.refuse(fmt.Errorf("cannot fetch %s: %w", some(len(j.left), count), failed.orMissing(j.left[0])))
}

func some(n, of int) string {
	if of == 1 {
		return "1 blob"
	}
	return fmt.Sprintf("%d of %d blobs", n, of)
}

// ofSource reports whether an error is the fault of a source, so that another one may do better.
func ofSource(err error) bool {
	for _, kind := range []error{bundle.ErrUnreachable, bundle.ErrDamaged, bundle.ErrTooLarge, bundle.ErrUnsafePath, errBadRange} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return isNotExist(err)
}

// gateError is an error of Options.Gate, whatever it wraps.
type gateError struct{ err error }

func (g *gateError) Error() string { return g.err.Error() }

// failures are what each source said, in one line.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

func (f failures) orMissing(w Want) error {
	switch len(f) {
	case 0:
		return absent(fmt.Sprintf("no source has blob %s", w.Forms[0].Digest))
	case 1:
		return f[0]
	}
	return f
}

// job is one call of Blobs.
type job struct {
	store *bundle.Store
	opts  Options
	left  []Want
	total int64
	done  int64 // bytes of wants that are complete
	moved Moved
	pace  pace
	took  []manifest.Blob // what came from a stream that is refused
}

func (j *job) progress(part int64) {
	if j.opts.Progress != nil {
		j.opts.Progress(j.done+part, j.total)
	}
}

// from brings what one source has.
func (j *job) from(ctx context.Context, src bundle.Source) error {
	if s, ok := src.(bundle.Streamer); ok {
		return j.stream(ctx, s)
	}
	var first error
	var left []Want
	for i, w := range j.left {
		err := j.anyForm(ctx, src, w)
		if err == nil {
			j.done += w.Size()
			j.progress(0)
			continue
		}
		left = append(left, w)
		if first == nil {
			first = fmt.Errorf("%s: %w", src.Name(), err)
		}
		if ctx.Err() != nil || !ofSource(err) || errors.Is(err, bundle.ErrUnreachable) {
			left = append(left, j.left[i+1:]...)
			break
		}
	}
	j.left = left
	return first
}

// anyForm brings the first form of w that a source has.
func (j *job) anyForm(ctx context.Context, src bundle.Source, w Want) error {
	var first error
	for _, b := range w.Forms {
		err := j.one(ctx, src, b)
		if !isNotExist(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// one brings one blob from one source, going on where the part ends.
func (j *job) one(ctx context.Context, src bundle.Source, b manifest.Blob) error {
	part, err := j.store.Partial(ctx, b)
	if err != nil {
		return err
	}
	defer part.Close()
	if part.Size() > b.Size {
		if err := part.CutTo(ctx, 0); err != nil {
			return err
		}
	}
	fresh := part.Size() == 0 // all of the part came from this source
	for tries := 0; ; {
		before := part.Size()
		n, err := j.piece(ctx, src, b, part)
		j.moved.Bytes += n
		if err == nil {
			err = part.Finish()
			if err == nil || fresh || !errors.Is(err, bundle.ErrDamaged) {
				return err
			}
			if part, err = j.store.Partial(ctx, b); err != nil { // the beginning, fetched earlier, may be what is wrong
				return err
			}
			defer part.Close()
			fresh = true
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case errors.Is(err, errOther), errors.Is(err, ErrBusy): // what is here may be right all the same
			return err
		case errors.Is(err, bundle.ErrDamaged):
			return also(err, part.CutTo(ctx, 0))
		case !errors.Is(err, bundle.ErrUnreachable):
			return err
		}
		if part.Size() > before { // bytes that begin anew every time are no progress
			tries = 0
		} else if tries++; tries == attempts {
			return err
		}
		if err := sleep(ctx, j.opts.Pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// ranger is a source that says where its answer begins.
type ranger interface {
	openAt(ctx context.Context, b manifest.Blob, offset int64) (body io.ReadCloser, start int64, err error)
}

// piece appends to the part what one request brings, and returns the bytes that came. It returns nil when the part is as long as b.
func (j *job) piece(parent context.Context, src bundle.Source, b manifest.Blob, part *bundle.PartialFile) (n int64, err error) {
	if part.Size() == b.Size {
		return 0, nil
	}
	ctx, stop, alive := stallContext(parent, j.opts.StallTimeout)
	defer stop()
	body, start, err := openAt(ctx, src, b, part.Size())
	if err != nil {
		return 0, err
	}
	defer body.Close()
	skip := part.Size() - start // the server began anew: what is here already passes by, and stays if the line breaks before
	limited, line := strings.Contains(src.Name(), "://"), Reach(src) > LAN
	if line {
		begin := time.Now()
		defer func() { j.moved.Active += time.Since(begin); j.moved.Line += n }()
	}
	buf := make([]byte, 64<<10)
	if limited {
		buf = buf[:j.pace.piece(len(buf))]
	}
	for {
		m, err := body.Read(buf)
		if m > 0 {
			if limited {
				if err := j.pace.wait(ctx, m); err != nil {
					return n, err
				}
			}
			alive()
			n += int64(m)
			fresh := buf[min(skip, int64(m)):m]
			skip -= int64(m - len(fresh))
			if part.Size()+int64(len(fresh)) > b.Size {
				return n, fmt.Errorf("blob %s is %w: longer than its %d bytes", b.Digest, bundle.ErrDamaged, b.Size)
			}
			if _, err := part.Write(fresh); err != nil {
				return n, fmt.Errorf("cannot store blob: %w", err)
			}
			j.progress(part.Size())
			if line && j.opts.Gate != nil {
				if err := j.opts.Gate(ctx, m); err != nil {
					return n, &gateError{err}
				}
			}
		}
		switch {
		case err == nil:
			continue
		case err != io.EOF && ctx.Err() != nil:
			return n, context.Cause(ctx)
		case err != io.EOF:
			if !ofSource(err) {
				err = unreadable(err)
			}
			return n, err
		case part.Size() < b.Size:
			return n, fmt.Errorf("blob %s: %w: it ended after %d of %d bytes", b.Digest, bundle.ErrUnreachable, part.Size(), b.Size)
		}
		return n, nil
	}
}

func openAt(ctx context.Context, src bundle.Source, b manifest.Blob, offset int64) (io.ReadCloser, int64, error) {
	if r, ok := src.(ranger); ok {
		return r.openAt(ctx, b, offset)
	}
	body, err := src.Blob(ctx, b, offset)
	return body, offset, err
}
