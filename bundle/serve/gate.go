package serve

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// gate lets so many in at once, and fewer of one address, so that one neighbour alone can't keep out the others.
type gate struct {
	all, each int

	mu    sync.Mutex
	in    int
	by    map[string]int
	moved chan struct{} // closed and replaced when somebody leaves
}

func newGate(all, each int) *gate {
	return &gate{all: all, each: each, by: map[string]int{}, moved: make(chan struct{})}
}

// try enters, and returns how to leave; nil when there is no room.
func (g *gate) try(who string) (leave func(), wait <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in >= g.all || g.by[who] >= g.each {
		return nil, g.moved
	}
	g.in++
	g.by[who]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.in--
		if g.by[who]--; g.by[who] == 0 {
			delete(g.by, who)
		}
		close(g.moved)
		g.moved = make(chan struct{})
	}), nil
}

var errBusy = errors.New("too much is asked at once")

// enter waits for room, at most for so long.
func (g *gate) enter(ctx context.Context, who string, patience time.Duration) (leave func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		leave, moved := g.try(who)
		if leave != nil {
			return leave, nil
		}
		select {
		case <-moved:
		case <-timer.C:
			return nil, errBusy
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// bounded is a listener that closes at once what is more than it may hold.
type bounded struct {
	net.Listener
	gate *gate
}

func (l bounded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave, _ := l.gate.try(hostOf(conn.RemoteAddr().String())); leave != nil {
			return leaving{conn, leave}, nil
		}
		_ = conn.Close()
	}
}

// leaving tells the gate when the connection ends.
type leaving struct {
	net.Conn
	leave func()
}

func (c leaving) Close() error {
	c.leave()
	return c.Conn.Close()
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
