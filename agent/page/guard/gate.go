package guard

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections and of streams: in all from the network, of one address there, and from this computer. A browser opens six connections to one
// server and no more: with fewer streams there is always one left for a button. Who gets no stream loads the page again and again.
const (
	maxConnections, maxOfOne, maxHere           = 48, 10, 48
	maxStreams, maxStreamsOfOne, maxStreamsHere = 24, 4, 4
)

// gate counts who is inside. This computer has places of its own.
type gate struct {
	all, each, home int

	mu         sync.Mutex
	in, athome int
	by         map[netip.Addr]int
}

func newGate(all, each, home int) *gate {
	return &gate{all: all, each: each, home: home, by: map[netip.Addr]int{}}
}

// enter returns how to leave; nil when there is no place.
func (g *gate) enter(who netip.Addr, here bool) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if here {
		if g.athome >= g.home {
			return nil
		}
		g.athome++
		return sync.OnceFunc(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.athome--
		})
	}
	who = network(who)
	if g.in >= g.all || g.by[who] >= g.each {
		return nil
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
	})
}

// network is what counts as one stranger: an IPv4 address, or the 64 bits of an IPv6 network in which a computer may choose its address freely.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
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
