package fetch

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"dhow/bundle"
)

// Folders of a server that is gone hang: neither a signal nor a closed file ends a call of the system. A waiter keeps that from whoever
// asks. A call that hangs is left behind; when there are mostHanging of them nothing more is asked at that path until one returns.
type waiter struct {
	stall time.Duration

	mu      sync.Mutex
	hanging map[string]int // calls left behind, by path
}

const mostHanging = 16

var paths = &waiter{stall: stallTimeout}

func (p *waiter) hangs(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hanging[path] >= mostHanging {
		return fmt.Errorf("%w: %s hangs", bundle.ErrUnreachable, path)
	}
	return nil
}

func (p *waiter) note(path string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hanging == nil {
		p.hanging = map[string]int{}
	}
	if p.hanging[path] += n; p.hanging[path] == 0 {
		delete(p.hanging, path)
	}
}

// wait calls do, which asks for something below path, and waits until it returns, ctx ends or the time for a stall is over. drop gets what comes
// after that; it may be nil.
func wait[T any](ctx context.Context, p *waiter, path string, do func() (T, error), drop func(T)) (got T, err error) {
	if err := p.hangs(path); err != nil {
		return got, err
	}
	type answer struct {
		got T
		err error
	}
	came, left := make(chan answer), make(chan struct{})
	go func() {
		var a answer
		a.got, a.err = do()
		select {
		case came <- a:
		case <-left:
			if a.err == nil && drop != nil {
				drop(a.got)
			}
			p.note(path, -1)
		}
	}()
	timer := time.NewTimer(p.stall)
	defer timer.Stop()
	select {
	case a := <-came:
		return a.got, a.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("%w: %w: %s did not answer for %v", bundle.ErrUnreachable, errStalled, path, p.stall)
	}
	p.note(path, 1)
	close(left)
	return got, err
}

// patientFile reads a file below path.
type patientFile struct {
	ctx  context.Context
	p    *waiter
	path string
	r    io.ReadCloser
	buf  []byte // of its own: a read that was left behind may still write into it
}

func (f *patientFile) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	const most = 256 << 10
	if f.buf == nil {
		f.buf = make([]byte, min(len(b), most))
	}
	own := f.buf[:min(len(b), len(f.buf))]
	n, err := wait(f.ctx, f.p, f.path, func() (int, error) { return f.r.Read(own) }, nil)
	return copy(b, own[:n]), err
}

func (f *patientFile) Close() error {
	_, err := wait(context.Background(), f.p, f.path, func() (struct{}, error) { return struct{}{}, f.r.Close() }, nil)
	return err
}
