// Package badline forwards TCP connections as bad lines do: slowly, late, and not to their end. It stands between a client and a server on
// loopback, in tests and benchmarks, and counts what crosses it.
package badline

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// End is how a connection ends before its time.
type End int

// Ways to end.
const (
	Orderly End = iota // as a server that closes (FIN)
	Reset              // as a middle box that forgets it (RST)
	Silent             // not at all: it stays open and nothing comes any more
)

// Line is how a line behaves. The zero value only counts.
type Line struct {
	After int64 // bytes to the client after which a connection ends; 0 for never
	End   End
	Times int64         // when so many have ended so, those that begin later don't; 0 for no such bound
	Rate  int64         // bytes per second in each direction, for all connections together; 0 for no limit
	Trip  time.Duration // there and back
	Seen  func(n int64) // told the bytes to clients after every piece, for all connections together; may be nil
}

// Forwarder is a line that is open.
type Forwarder struct {
	line        Line
	to          string
	listener    net.Listener
	up, down    lane
	connections atomic.Int64
	ended       atomic.Int64
	closed      chan struct{}
	open        sync.WaitGroup
}

// lane is one direction of the line.
type lane struct {
	moved atomic.Int64
	mu    sync.Mutex
	free  time.Time // when the last byte that was sent is through
}

// Open begins to forward connections to an address, HOST:PORT.
func Open(to string, line Line) (*Forwarder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Forwarder{line: line, to: to, listener: listener, closed: make(chan struct{})}
	f.open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.connections.Add(1)
			f.open.Go(func() { f.forward(conn.(*net.TCPConn)) })
		}
	})
	return f, nil
}

// Address is what clients connect to.
func (f *Forwarder) Address() string { return f.listener.Addr().String() }

// Moved is how many bytes of the payload of TCP have crossed the line, both ways together, lost ones as well.
func (f *Forwarder) Moved() int64 { return f.up.moved.Load() + f.down.moved.Load() }

// Connections is how many there were.
func (f *Forwarder) Connections() int64 { return f.connections.Load() }

// Ended is how many of them ended before their time.
func (f *Forwarder) Ended() int64 { return f.ended.Load() }

// Close ends all connections.
func (f *Forwarder) Close() {
	close(f.closed)
	_ = f.listener.Close()
	f.open.Wait()
}

func (f *Forwarder) forward(client *net.TCPConn) {
	defer client.Close()
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer server.Close()
	// What waits in a buffer counts as moved, though a reset loses it.
	_ = client.SetWriteBuffer(32 << 10)
	left := int64(1<<63 - 1)
	if f.line.After > 0 && (f.line.Times == 0 || f.ended.Load() < f.line.Times) {
		left = f.line.After
	}
	done := make(chan error, 2)
	go func() { done <- f.pass(&f.up, server, client, nil, f.line.Trip) }() // the handshake of TCP takes one trip
	go func() { done <- f.pass(&f.down, client, server, &left, 0) }()
	for range 2 {
		select {
		case err := <-done:
			if errors.Is(err, errCut) && f.cut(client) {
				return
			}
		case <-f.closed:
			return
		}
	}
}

var errCut = errors.New("the line is cut")

// cut ends a connection and reports that it is over. One that falls silent goes on until the client closes it.
func (f *Forwarder) cut(client *net.TCPConn) bool {
	f.ended.Add(1)
	switch f.line.End {
	case Silent:
		return false
	case Reset:
		_ = client.SetLinger(0)
	}
	return true
}

// piece is what was read, and when it is at the other end.
type piece struct {
	data []byte
	due  time.Time
}

// pass moves bytes of one direction until it ends. Of to the client only left bytes are moved, when it is set.
func (f *Forwarder) pass(lane *lane, to, from net.Conn, left *int64, wait time.Duration) error {
	size := int64(32 << 10)
	if f.line.Rate > 0 {
		size = max(512, min(size, f.line.Rate/8))
	}
	queue := make(chan piece, 16)
	over := make(chan struct{})
	defer close(over)
	go func() {
		defer close(queue)
		for {
			data := make([]byte, size)
			n, err := from.Read(data)
			if n > 0 {
				select {
				case queue <- piece{data[:n], time.Now().Add(f.line.Trip/2 + wait)}:
				case <-over:
					return
				}
			}
			if err != nil {
				return
			}
			wait = 0
		}
	}()
	for p := range queue {
		if left != nil {
			p.data = p.data[:min(int64(len(p.data)), *left)]
		}
		if err := f.until(lane.due(len(p.data), f.line.Rate, p.due)); err != nil {
			return err
		}
		n, err := to.Write(p.data)
		moved := lane.moved.Add(int64(n))
		if left == nil {
			if err != nil {
				return err
			}
			continue
		}
		if f.line.Seen != nil {
			f.line.Seen(moved)
		}
		if *left -= int64(n); *left == 0 {
			return errCut
		}
		if err != nil {
			return err
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	return io.EOF
}

// due returns when n bytes that are not there before at are through.
func (l *lane) due(n int, rate int64, at time.Time) time.Time {
	if rate <= 0 {
		return at
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(at) {
		l.free = at
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(rate))
	return l.free
}

func (f *Forwarder) until(at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-f.closed:
		return net.ErrClosed
	}
}
