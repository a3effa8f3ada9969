package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"dhow/bundle"
	"dhow/manifest"
)

// errOneLess ends a transfer that is one too many; its want waits for its turn.
var errOneLess = errors.New("one transfer less is faster")

// errNowhere says that no source has brought a want; the item knows what each of them said.
var errNowhere = errors.New("no source has it")

// transfer is an item that is being brought.
type transfer struct {
	it      *item // nil for a stream
	cancel  context.CancelCauseFunc
	stopped bool // it is one too many
	err     error
}

// together brings what sources have that are asked for each blob, as many at a time as is fastest. Streams among the sources have been
// read before; one that broke off is read again when it has come back.
func (j *job) together(ctx context.Context, sources []*source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running []*transfer
	over := make(chan *transfer)
	tried := map[*item]bool{}
	var fatal error
	start := func(it *item, do func(ctx context.Context) error) {
		t := &transfer{it: it}
		var tctx context.Context
		tctx, t.cancel = context.WithCancelCause(ctx)
		running = append(running, t)
		go func() { t.err = do(tctx); t.cancel(nil); over <- t }()
	}
	for {
		for fatal == nil && ctx.Err() == nil {
			if s := j.returned(sources, running); s != nil {
				start(nil, func(ctx context.Context) error { return j.stream(ctx, s) })
			}
			if blobs(running) < len(running) || blobs(running) >= j.allowed() { // what is near may make the rest needless
				break
			}
			it := j.list.next(func(it *item) bool { return !tried[it] })
			if it == nil {
				break
			}
			start(it, func(ctx context.Context) error { return j.bring(ctx, it, sources) })
		}
		if len(running) == 0 {
			return fatal // what is missing after all stands in the ledger
		}
		select {
		case t := <-over:
			running = slices.DeleteFunc(running, func(r *transfer) bool { return r == t })
			if t.it != nil {
				j.list.reopen(t.it)
			}
			switch {
			case t.err == nil, errors.Is(t.err, errOneLess), t.it == nil && ofSource(t.err):
			case errors.Is(t.err, errNowhere):
				tried[t.it] = true
			case fatal == nil:
				fatal = t.err
				cancel(t.err)
			}
		case <-j.change:
			stopNewest(running, j.allowed())
		}
	}
}

// stopNewest ends transfers so that only so many are left.
func stopNewest(running []*transfer, allowed int) {
	more := blobs(running) - allowed
	for _, t := range slices.Backward(running) {
		if t.it != nil && more > 0 {
			if !t.stopped {
				t.stopped = true
				t.cancel(errOneLess)
			}
			more--
		}
	}
}

// blobs counts the transfers that are no streams.
func blobs(running []*transfer) (n int) {
	for _, t := range running {
		if t.it != nil {
			n++
		}
	}
	return n
}

// returned is a stream that broke off and can be read again, unless one is being read.
func (j *job) returned(sources []*source, running []*transfer) *source {
	if blobs(running) < len(running) || j.list.firstOpen() == nil {
		return nil
	}
	for _, s := range sources {
		if s.stream == nil || !errors.Is(s.failed, bundle.ErrUnreachable) || s.tries >= attempts || time.Since(s.at) < j.opts.Pause {
			continue
		}
		s.at = time.Now()
		if _, err := os.Stat(s.Name()); err == nil {
			return s
		}
	}
	return nil
}

// allowed is how many transfers may run.
func (j *job) allowed() int {
	j.speed.Lock()
	defer j.speed.Unlock()
	return j.width.now
}

// bring asks the sources for an item, the nearest first.
func (j *job) bring(ctx context.Context, it *item, sources []*source) error {
	it.doubts = nil
	for _, s := range sources {
		if s.stream != nil || isNotExist(it.said[s]) {
			continue
		}
		err := j.ask(ctx, s, it, func(tries int) error { return j.from(ctx, s, it, tries) })
		if !errors.Is(err, errNowhere) {
			return err
		}
	}
	return j.anew(ctx, it, sources)
}

// ask lets do bring an item from one source. It returns errNowhere when another source may do better.
func (j *job) ask(ctx context.Context, s *source, it *item, do func(tries int) error) error {
	tries, err := s.begin(j.opts.Pause)
	if err != nil {
		it.said[s] = err
		return errNowhere
	}
	err = do(tries)
	for wait := s.patience(err); wait > 0; wait = s.patience(err) {
		if serr := sleep(ctx, wait); serr != nil {
			break
		}
		err = do(tries)
	}
	alone := s.end()
	if err == nil {
		s.away(nil)
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	named := s.named(err)
	if !ofSource(err) {
		return named
	}
	it.said[s] = named
	if !errors.Is(err, bundle.ErrUnreachable) {
		return errNowhere
	}
	if !alone { // it answers the others: it does not want so many
		j.fewer()
		return errOneLess
	}
	s.away(named)
	return errNowhere
}

// fewer is one transfer less, since one of them was refused.
func (j *job) fewer() {
	j.speed.Lock()
	defer j.speed.Unlock()
	j.width.back(time.Now())
}

// from brings an item from one source, in the first form that it has.
func (j *job) from(ctx context.Context, s *source, it *item, tries int) error {
	return j.using(s, func() error {
		var first error
		for _, b := range it.Forms {
			err := j.one(ctx, s, it, b, tries)
			if err == nil {
				return j.meet(b)
			}
			if !isNotExist(err) {
				return err
			}
			if first == nil {
				first = err
			}
		}
		return first
	})
}

// using does something with a source: one thing at a time with one of this computer.
func (j *job) using(s *source, do func() error) error {
	if s.reach == Local {
		j.local.Lock()
		defer j.local.Unlock()
	} else {
		j.count(1)
		defer j.count(-1)
	}
	if s.overLine() {
		defer j.line.start()()
	}
	return do()
}

// meet notes that a blob has come, and drops the beginnings of other forms of the same thing.
func (j *job) meet(b manifest.Blob) error {
	for _, d := range j.list.meet(b.Digest) {
		if err := j.store.RemovePart(d); err != nil {
			return fmt.Errorf("cannot store blob: %w", err)
		}
	}
	return nil
}

func (j *job) count(n int) {
	j.speed.Lock()
	defer j.speed.Unlock()
	j.busy += n
}

// measure tells width that bytes came from another computer.
func (j *job) measure(n int) {
	_, rest := j.list.rest()
	j.speed.Lock()
	defer j.speed.Unlock()
	if step := j.width.came(time.Now(), int64(n), j.busy, rest); step != 0 {
		select {
		case j.change <- struct{}{}:
		default: // it is told already
		}
	}
}
