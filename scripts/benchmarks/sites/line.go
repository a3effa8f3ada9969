//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line is a forwarder that counts what goes through it, both ways together: the payload of TCP.
type line struct {
	listener    net.Listener
	up, down    atomic.Int64
	connections atomic.Int64
	open        sync.WaitGroup
}

func newLine(to string) (*line, error) {
	l := &line{}
	var err error
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.connections.Add(1)
			l.open.Go(func() { l.forward(conn, to) })
		}
	}()
	return l, nil
}

func (l *line) forward(conn net.Conn, to string) {
	defer conn.Close()
	server, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn, count *atomic.Int64) {
		_, _ = io.Copy(to, io.TeeReader(from, counter{count}))
		_ = to.(*net.TCPConn).CloseWrite()
		done <- struct{}{}
	}
	go pass(server, conn, &l.up)
	go pass(conn, server, &l.down)
	<-done
	<-done
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

// address is what a client connects to.
func (l *line) address() string {
	_, port, _ := net.SplitHostPort(l.listener.Addr().String())
	return "localhost:" + port
}

// taken returns what went through since the last call, once all connections have ended.
func (l *line) taken() (bytes, connections int64) {
	l.open.Wait()
	return l.up.Swap(0) + l.down.Swap(0), l.connections.Swap(0)
}

// await waits until somebody listens.
func await(ctx context.Context, address string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s does not come up: %w", address, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
