// Package doors answers the published ports of a stack with a maintenance page while the stack is away.
//
// Close takes the ports as soon as whoever has them lets go, on IPv4 and IPv6 as the engine's publish does; every HTTP request
// on them gets the same small page with status 503, in the language of the site or else of the browser, or JSON if it asks for that; every other
// client gets an HTTP error. Open ends that and frees the ports before it returns. The page is one file without anything from elsewhere. It loads
// itself again under its own address until the system is back, with a script that outlasts the moment in which nobody answers, also in old browsers, and without one too; what
// answers a form does not. It shows nothing but what Page holds; a telephone number in it can be pressed. Who may use the ports afterwards is the caller's affair.
package doors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dhow/agent/fault"
)

// Port is a published TCP port. HostIP "" or 0.0.0.0 means every address of the machine, IPv6 included; :: every IPv6 address.
type Port struct {
	HostIP string
	Port   uint16
}

// ErrPortTaken means that another program holds a port.
var ErrPortTaken = errors.New("another program holds the port")

const (
	retryPause     = 100 * time.Millisecond
	maxConnections = 256 // at a time, per address
	maxRequestHead = 16 << 10
)

// Doors are closed doors.
type Doors struct {
	server *http.Server
	page   atomic.Pointer[Page]
	done   sync.WaitGroup
	once   sync.Once
	err    error
}

// Close begins to answer ports with page. It waits for each port until it is free or ctx ends; then it answers none and the
// error wraps ErrPortTaken when a port is still held. Answering goes on until Open, whatever becomes of ctx.
func Close(ctx context.Context, ports []Port, page Page) (*Doors, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := fault.Point("doors/close"); err != nil {
		return nil, err
	}
	addresses, err := plan(ports)
	if err != nil {
		return nil, err
	}
	var open []net.Listener
	for _, a := range addresses {
		l, err := listen(ctx, a)
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			return nil, err
		}
		if l != nil {
			open = append(open, l)
		}
	}
	d := &Doors{}
	d.page.Store(&page)
	d.server = &http.Server{
		Handler:                      handler(d.page.Load, time.Now),
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 10 * time.Second,
		MaxHeaderBytes:               maxRequestHead,
		ErrorLog:                     log.New(io.Discard, "", 0), // what clients send wrong is no news
		DisableGeneralOptionsHandler: true,
	}
	d.server.SetKeepAlivesEnabled(false) // browsers must not hold on to us when the stack is back
	for _, l := range open {
		d.done.Go(func() { _ = d.server.Serve(&bounded{Listener: l}) }) // ends by Open only
	}
	return d, nil
}

// Show answers with another page from now on.
func (d *Doors) Show(page Page) { d.page.Store(&page) }

// Open stops answering: listeners and connections are closed and the ports free when it returns. It may be called again.
func (d *Doors) Open() error {
	d.once.Do(func() {
		if err := errors.Join(fault.Point("doors/open"), d.server.Close()); err != nil {
			d.err = fmt.Errorf("cannot free the published ports: %w", err)
		}
		d.done.Wait()
	})
	return d.err
}

// address is one socket to listen on. Optional ones may be impossible on this machine.
type address struct {
	network  string
	at       netip.AddrPort
	optional bool
}

// plan turns ports into sockets, each once; an address that "every address" covers is left out.
func plan(ports []Port) ([]address, error) {
	var all, specific []address
	seen := map[netip.AddrPort]bool{}
	add := func(to []address, a address) []address {
		if seen[a.at] {
			return to
		}
		seen[a.at] = true
		return append(to, a)
	}
	for _, p := range ports {
		if p.Port == 0 {
			return nil, errors.New("cannot close the doors: a published port has no number")
		}
		ip := netip.IPv4Unspecified()
		if p.HostIP != "" {
			var err error
			if ip, err = netip.ParseAddr(p.HostIP); err != nil {
				return nil, fmt.Errorf("cannot close the doors: %q is no IP address", p.HostIP)
			}
		}
		ip = ip.Unmap()
		network := "tcp4"
		if ip.Is6() {
			network = "tcp6"
		}
		a := address{network: network, at: netip.AddrPortFrom(ip, p.Port)}
		if !ip.IsUnspecified() {
			specific = add(specific, a)
			continue
		}
		all = add(all, a)
		if ip.Is4() {
			all = add(all, address{network: "tcp6", at: netip.AddrPortFrom(netip.IPv6Unspecified(), p.Port), optional: true})
		}
	}
	for _, a := range specific {
		wild := netip.IPv4Unspecified()
		if a.at.Addr().Is6() {
			wild = netip.IPv6Unspecified()
		}
		if !seen[netip.AddrPortFrom(wild, a.at.Port())] {
			all = append(all, a)
		}
	}
	return all, nil
}

// listen polls until the address is free. It returns nil, nil when the machine has no such kind of address and can do without.
func listen(ctx context.Context, a address) (net.Listener, error) {
	var config net.ListenConfig
	for {
		l, err := config.Listen(context.WithoutCancel(ctx), a.network, a.at.String())
		if err == nil {
			return l, nil
		}
		taken := errors.Is(err, syscall.EADDRINUSE)
		if !taken && a.optional {
			return nil, nil
		}
		if taken {
			err = ErrPortTaken
		}
		// An address that the machine does not have yet may come with the network.
		if !taken && !errors.Is(err, syscall.EADDRNOTAVAIL) || ctx.Err() != nil {
			return nil, fmt.Errorf("cannot answer port %s: %w", name(a), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

func name(a address) string {
	if a.at.Addr().IsUnspecified() {
		return strconv.Itoa(int(a.at.Port()))
	}
	return a.at.String()
}

// bounded is a listener that hangs up on whoever comes while it is full.
type bounded struct {
	net.Listener
	now atomic.Int32
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.now.Add(1) <= maxConnections {
			return &counted{Conn: c, now: &b.now}, nil
		}
		b.now.Add(-1)
		_ = c.Close()
	}
}

type counted struct {
	net.Conn
	once sync.Once
	now  *atomic.Int32
}

func (c *counted) Close() error {
	c.once.Do(func() { c.now.Add(-1) })
	return c.Conn.Close()
}
