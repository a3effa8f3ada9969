//go:build e2e

package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Line is the connection between a site and the registry. It can be cut and mended.
type Line struct {
	t       testing.TB
	address string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

// newLine makes a line that works.
func newLine(t testing.TB) *Line {
	t.Helper()
	l := &Line{t: t, address: "127.0.0.1:0"}
	l.mend()
	t.Cleanup(l.cut)
	return l
}

// source is the fleet's repository at the other end.
func (l *Line) source(fleet string) string { return "oci://" + l.address + "/" + fleet }

// mend makes the line work again, at the same address.
func (l *Line) mend() {
	l.t.Helper()
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address, l.listener, l.open = listener.Addr().String(), listener, map[net.Conn]bool{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(conn)
		}
	}()
}

// cut ends all connections and refuses new ones.
func (l *Line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return
	}
	_ = l.listener.Close()
	for conn := range l.open {
		_ = conn.Close()
	}
	l.listener, l.open = nil, nil
}

func (l *Line) carry(site net.Conn) {
	defer site.Close()
	registry, err := net.Dial("tcp", world.registry)
	if err != nil {
		return
	}
	defer registry.Close()
	l.mu.Lock()
	if l.open == nil {
		l.mu.Unlock()
		return
	}
	l.open[site], l.open[registry] = true, true
	l.mu.Unlock()
	go func() {
		_, _ = io.Copy(registry, site)
		_ = registry.Close()
	}()
	_, _ = io.Copy(site, registry)
}
