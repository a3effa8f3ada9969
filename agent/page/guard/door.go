package guard

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// door is a listener that closes at once what is more than the guard may hold, and speaks TLS with everything that does not come from this computer.
// Who speaks plain HTTP from the network, as somebody who has typed an address without https, is let in so far that he can be told.
type door struct {
	net.Listener
	g     *Guard
	plain bool // for everybody

	ready  chan net.Conn
	failed chan error
	closed chan struct{}
	once   sync.Once
}

func newDoor(l net.Listener, g *Guard, plain bool) *door {
	return &door{Listener: l, g: g, plain: plain, ready: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
}

// Accept waits for somebody whose first byte is there.
func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.ready:
		return conn, nil
	case err := <-d.failed:
		return nil, err
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.Listener.Close()
}

// run accepts until the door is closed.
func (d *door) run() {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			select {
			case d.failed <- err:
			case <-d.closed:
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		local, remote := addrPort(conn.LocalAddr().String()).Addr(), addrPort(conn.RemoteAddr().String()).Addr()
		here := d.g.here(local, remote)
		leave := d.g.conns.enter(remote, here)
		if leave == nil {
			_ = conn.Close()
			continue
		}
		go d.hand(leaving{conn, leave}, here || d.plain)
	}
}

// hand gives a connection on, once it is known what is spoken over it.
func (d *door) hand(conn net.Conn, plain bool) {
	if !plain {
		var first [1]byte
		_ = conn.SetReadDeadline(time.Now().Add(headTime))
		if n, err := conn.Read(first[:]); n != 1 || err != nil {
			_ = conn.Close()
			return
		}
		_ = conn.SetReadDeadline(time.Time{})
		conn = &begun{Conn: conn, first: first[:]}
		if first[0] == tlsHandshake {
			conn = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: d.g.certificate})
		}
	}
	select {
	case d.ready <- conn:
	case <-d.closed:
		_ = conn.Close()
	}
}

// tlsHandshake is the first byte of TLS, and of no request in plain HTTP.
const tlsHandshake = 0x16

// begun is a connection of which the first byte has been read.
type begun struct {
	net.Conn
	first []byte
}

func (c *begun) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
