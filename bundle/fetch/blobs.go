package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"dhow/bundle"
	"dhow/manifest"
)

// attempts is how often in a row a source may bring nothing before it is given up.
const attempts = 3

// Options of Blobs. The zero value is right for most.
type Options struct {
	// Progress is called with the bytes that are there and the bytes of all wants in the forms that are preferred: by one goroutine at a time,
	// never with less than before.
	Progress func(done, total int64)
	// Rate is the most that comes over a line in a second, in bytes; 0 means no limit. What is near has none.
	Rate int64
	// StallTimeout is how long a source may be silent; 0 means a minute.
	StallTimeout time.Duration
	// Gate is called for each piece of n bytes that came over a line and is kept: not from this computer, nor from the LAN. It is called by
	// one goroutine at a time. Its error ends all transfers at once and is returned as it is; parts stay.
	Gate func(ctx context.Context, n int) error
	// Pause is the time before a source that broke off is asked again; 0 means a second.
	Pause time.Duration

	window time.Duration // for which speed is measured
}

// Moved is what came from sources. Line is the part of Bytes that came over a line: not from this computer, nor from the LAN. Active is the
// time in which something was under way over a line, waits and new connections included.
type Moved struct {
	Bytes, Line int64
	Active      time.Duration
	// Wrong names the sources that sent something else than what was asked for, and were asked for nothing more unless they are of this computer:
	// a WrongError each.
	Wrong []error
}

// WrongError is what a source has sent that is something else.
type WrongError struct {
	Source string
	Err    error // names it, too
}

func (w *WrongError) Error() string { return w.Err.Error() }

func (w *WrongError) Unwrap() error { return w.Err }

// Add counts what came in another call.
func (m *Moved) Add(n Moved) {
	m.Bytes += n.Bytes
	m.Line += n.Line
	m.Active += n.Active
	m.Wrong = append(m.Wrong, n.Wrong...)
}

// Blobs brings wants into the store, each in the first of its forms that the first of sources has, and returns what came. It leaves
// out what the store has.
//
// A transfer that breaks off goes on where it was, as long as bytes come; then the next source goes on at that byte. A source that does not
// answer is asked again after a while, before the next blob. One that sends wrong bytes is set aside, and what it gave is taken away: a
// beginning that others gave goes only when none of those that may have given it can make it whole. There is one transfer at a time, and
// more (at most four) as long as that is measured to be clearly faster; never several from this computer.
//
// A source that is read front to back (bundle.Streamer) is read to its end in its turn, and when it turns out to be damaged or unsafe
// nothing that came from it stays, unless another source completes what is missing. When ctx ends Blobs returns at once, and parts stay
// for another time.
func Blobs(ctx context.Context, store *bundle.Store, sources []bundle.Source, wants []Want, opts Options) (Moved, error) {
	if opts.StallTimeout <= 0 {
		opts.StallTimeout = stallTimeout
	}
	if opts.Pause <= 0 {
		opts.Pause = time.Second
	}
	if opts.window <= 0 {
		opts.window = measure
	}
	list, err := newLedger(store, wants, opts.Progress)
	if err != nil {
		return Moved{}, err
	}
	j := &job{store: store, opts: opts, list: list, pace: pace{rate: opts.Rate}, change: make(chan struct{}, 1)}
	limit := int64(0)
	for _, src := range sources {
		s := newSource(src)
		if s.overLine() {
			limit = opts.Rate
		}
		j.sources = append(j.sources, s)
	}
	j.width = newWidth(opts.window, limit)
	err = j.run(ctx)
	return j.moved(), err
}

// job is one call of Blobs.
type job struct {
	store   *bundle.Store
	opts    Options
	list    *ledger
	sources []*source
	pace    pace
	line    stopwatch

	took []manifest.Blob // what came from a stream that is refused

	gate   sync.Mutex
	local  sync.Mutex // one transfer from this computer at a time
	speed  sync.Mutex // of width and busy
	width  *width
	busy   int           // transfers from other computers
	change chan struct{} // of width
}

// run asks the sources in their order: those that are read front to back by themselves, the others together.
func (j *job) run(ctx context.Context) error {
	count, _ := j.list.rest()
	for i := 0; i < len(j.sources) && j.list.firstOpen() != nil; i++ {
		var err error
		if j.sources[i].stream != nil {
			err = j.stream(ctx, j.sources[i])
		} else {
			for i+1 < len(j.sources) && j.sources[i+1].stream == nil {
				i++
			}
			err = j.together(ctx, j.sources[:i+1])
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if g := (*gateError)(nil); errors.As(err, &g) {
			return g.err
		}
		if err != nil && !ofSource(err) { // the disk is full or broken: another source won't help
			return err
		}
		if refused(err) && j.list.firstOpen() == nil { // it brought everything, and it is not to be believed
			return j.refuse(err)
		}
	}
	left, _ := j.list.rest()
	if left == 0 {
		return nil
	}
	return j.refuse(fmt.Errorf("cannot fetch %s: %w", some(left, count), j.failures()))
}

func (j *job) moved() Moved {
	m := j.list.moved
	m.Active = j.line.sum
	for _, s := range j.sources {
		if s.wrong != nil {
			m.Wrong = append(m.Wrong, &WrongError{s.Name(), s.wrong})
		}
	}
	return m
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

// failures is what the sources said of the first thing that is missing, and of the first that was damaged.
func (j *job) failures() error {
	var list failures
	for _, s := range j.sources {
		var said, damaged error
		j.list.any(func(it *item) bool {
			if it.state == open && errors.Is(it.said[s], bundle.ErrDamaged) {
				damaged = it.said[s]
			}
			return damaged != nil
		})
		j.list.any(func(it *item) bool {
			if it.state == open {
				said = it.said[s]
			}
			return said != nil
		})
		if said == nil && s.stream != nil {
			said = s.failed
			if said == nil {
				said = fmt.Errorf("%s: %w", s.Name(), absent(fmt.Sprintf("it does not hold blob %s", j.list.firstOpen().Forms[0].Digest)))
			}
		}
		if said != nil {
			list = append(list, said)
		}
		if damaged != nil && (said == nil || damaged.Error() != said.Error()) {
			list = append(list, damaged)
		}
	}
	switch len(list) {
	case 0:
		return absent(fmt.Sprintf("no source has blob %s", j.list.firstOpen().Forms[0].Digest))
	case 1:
		return list[0]
	}
	return list
}

// stopwatch adds up the time in which something is under way.
type stopwatch struct {
	mu    sync.Mutex
	n     int
	begun time.Time
	sum   time.Duration
}

func (s *stopwatch) start() (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; s.n == 1 {
		s.begun = time.Now()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.n--; s.n == 0 {
			s.sum += time.Since(s.begun)
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
