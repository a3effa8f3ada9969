package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of connections.
const (
	maxConnections = 64
	maxOfOne       = 16
	headTime       = 5 * time.Second
	idleTime       = 30 * time.Second
	maxHeader      = 8 << 10 // bytes
	lookEvery      = 5 * time.Second
)

// httpServer is a server whose connections are bounded; it gives up slow askers, and its handler slow readers.
func httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // strangers must not fill the log
	}
}

// Serve answers on l until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := httpServer(h)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(bounded{l, newGate(maxConnections, maxOfOne)})
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Agent serves beside everything else that an agent does: it never stops that, tries again while it can't listen, and follows the
// configuration.
type Agent struct {
	Address func() string // where to listen at present; empty: nowhere
	Handler http.Handler
	Log     *slog.Logger

	mu      sync.Mutex
	trouble string
}

// Warning says why neighbours get nothing although they should; it is empty otherwise.
func (a *Agent) Warning() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble
}

func (a *Agent) setTrouble(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if text != "" && text != a.trouble {
		a.Log.Warn(text)
	}
	a.trouble = text
}

// Run serves until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	for ctx.Err() == nil {
		address := a.Address()
		if err := a.serve(ctx, address); err != nil && ctx.Err() == nil {
			a.setTrouble(fmt.Sprintf("neighbours can't fetch from this site: %v; tried again by itself", err))
			pause(ctx)
		}
	}
}

// serve serves at an address until another one is configured.
func (a *Agent) serve(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if address == "" {
		a.setTrouble("")
		for pause(ctx) && a.Address() == address {
		}
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	a.setTrouble("")
	a.Log.Info("neighbours may fetch from this site", "address", l.Addr().String())
	go func() {
		for pause(ctx) && a.Address() == address {
		}
		cancel()
	}()
	return Serve(ctx, l, a.Handler)
}

// pause waits a little, and reports whether ctx goes on.
func pause(ctx context.Context) bool {
	t := time.NewTimer(lookEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Addresses are the sources that neighbours can name to reach a listener: the addresses of this computer on its networks, private ones first.
func Addresses(l net.Listener) []string {
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	if !at.IP.IsUnspecified() {
		return []string{"http://" + at.String()}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var ips []net.IP
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	slices.SortStableFunc(ips, func(a, b net.IP) int { return rank(a) - rank(b) })
	var list []string
	for _, ip := range ips {
		list = append(list, "http://"+(&net.TCPAddr{IP: ip, Port: at.Port}).String())
	}
	return list
}

func rank(ip net.IP) int {
	switch {
	case ip.To4() != nil && ip.IsPrivate():
		return 0
	case ip.To4() != nil:
		return 1
	}
	return 2
}
