package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Why a PIN was not taken.
var (
	errNoPIN   = errors.New("no PIN is set")
	errMissing = errors.New("there is no PIN in the form")
	errWrong   = errors.New("the PIN is wrong")
	errWait    = errors.New("too many wrong PINs")
	errBusy    = errors.New("another PIN is being looked at")
)

// patience is how long a try waits for the one before it.
const patience = 5 * time.Second

// pins judges tries, one at a time.
type pins struct {
	dir  string
	log  *slog.Logger
	turn chan struct{} // holds one who computes
	read func(dir string) (p interface{ is(pin string) bool }, id string, err error)

	mu    sync.Mutex
	tries *tries
}

func newPINs(dir string, clock func() time.Duration, log *slog.Logger) *pins {
	t, err := openTries(dir, clock)
	if err != nil {
		log.Warn(err.Error())
	}
	return &pins{
		dir: dir, log: log, turn: make(chan struct{}, 1), tries: t,
		read: func(dir string) (interface{ is(pin string) bool }, string, error) { return readPIN(dir) },
	}
}

// try judges a PIN that came from an address. nil means that it is right; with errWait comes how long to wait.
func (p *pins) try(ctx context.Context, from netip.Addr, pin string) (time.Duration, error) {
	kept, id, err := p.read(p.dir)
	if err != nil {
		return 0, err
	}
	if pin = digits(pin); pin == "" {
		return 0, errMissing
	}
	pin = pin[:min(len(pin), 2*maxPIN)]
	from = network(from)
	if wait := p.wait(from, id); wait > 0 { // the many of an attack do not even queue
		return wait, errWait
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return 0, errBusy
	}
	if wait := p.wait(from, id); wait > 0 {
		return wait, errWait
	}
	if err := p.count(from); err != nil {
		return 0, fmt.Errorf("cannot keep that a PIN was tried: %w", err)
	}
	if !kept.is(pin) {
		return 0, p.wrong(from)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.tries.right(from); err != nil {
		p.log.Warn("cannot keep that a PIN was right", "error", err)
	}
	return 0, nil
}

func (p *pins) wait(from netip.Addr, id string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries.of(id)
	return p.tries.wait(from)
}

func (p *pins) count(from netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries.count(from)
}

// wrong tells the log. Tries that had to wait are not told, so that there are a hundred lines a day at most.
func (p *pins) wrong(from netip.Addr) error {
	p.mu.Lock()
	wait := p.tries.wait(from)
	p.mu.Unlock()
	p.log.Warn("a wrong PIN was given on the page", "from", from.String(), "wait", wait.Round(time.Second))
	return errWrong
}
