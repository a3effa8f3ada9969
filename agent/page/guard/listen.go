package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dhow/agent/site"
)

// Bounds of one connection.
const (
	headTime   = 5 * time.Second
	readTime   = 10 * time.Second
	answerTime = time.Minute
	idleTime   = 30 * time.Second
	maxHeader  = 8 << 10 // bytes
)

// Warning says what of the page can't be had although it should; it is empty otherwise.
func (g *Guard) Warning() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

func (g *Guard) setTrouble(list []string) {
	text := strings.Join(list, "; ")
	g.mu.Lock()
	defer g.mu.Unlock()
	if text != "" && text != g.trouble {
		g.o.Log.Warn(text)
	}
	g.trouble = text
}

// Run serves until ctx ends, and follows the configuration.
func (g *Guard) Run(ctx context.Context) {
	open := map[place]*http.Server{}
	ended := make(chan *http.Server)
	tick := time.NewTicker(g.lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		want, trouble := g.places()
		for at, srv := range open {
			if !want[at] {
				_ = srv.Close()
				delete(open, at)
			}
		}
		trouble = append(trouble, g.openMissing(ctx, want, open, ended)...)
		g.setTrouble(trouble)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case srv := <-ended: // else it would never be opened again
			_ = srv.Close()
			maps.DeleteFunc(open, func(_ place, s *http.Server) bool { return s == srv })
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
	for _, srv := range open {
		_ = srv.Close()
	}
}

// place is an address to listen on. The second loopback address is optional: not every computer has both.
type place struct {
	network, address string
	optional, metric bool
}

// places says where to listen at present, and what is in the way of more.
func (g *Guard) places() (want map[place]bool, trouble []string) {
	want = map[place]bool{}
	config := g.o.Config()
	if g.o.Metrics != nil && config.Metrics != "" && config.Metrics != "true" && config.Metrics != "false" {
		want[place{network: "tcp", address: config.Metrics, metric: true}] = true
	}
	if config.Page.Off {
		return want, nil
	}
	at, err := netip.ParseAddrPort(config.Page.Address())
	if err != nil {
		return want, []string{"the page is nowhere: " + err.Error()}
	}
	port := strconv.Itoa(int(at.Port()))
	four := place{network: "tcp4", address: "127.0.0.1:" + port}
	six := place{network: "tcp6", address: "[::1]:" + port, optional: true}
	want[four], want[six] = true, true
	if g.isLoopback(at.Addr()) {
		if at.Addr() != netip.MustParseAddr("127.0.0.1") && at.Addr() != netip.IPv6Loopback() {
			want[place{network: "tcp", address: at.String()}] = true
		}
		return want, nil
	}
	if why := g.keepOff(config.Page); why != "" {
		return want, []string{why}
	}
	lan := place{network: "tcp", address: at.String()}
	switch at.Addr() { // one listener for all addresses takes the place of those that it holds
	case netip.IPv4Unspecified():
		lan.network = "tcp4"
		delete(want, four)
	case netip.IPv6Unspecified():
		delete(want, four)
		delete(want, six)
	}
	want[lan] = true
	return want, nil
}

const not = "the page is not open to the network"

// NoPIN is the Warning of a page that would be open to the network if it had a PIN.
const NoPIN = not + ": no PIN is set; set one with: sudo dhow page pin"

// keepOff says why the page must not be on the network, and loads the certificate when it may.
func (g *Guard) keepOff(p site.Page) string {
	switch set, err := HasPIN(g.o.Dir); {
	case err != nil:
		return fmt.Sprintf("%s: %v", not, err)
	case !set:
		return NoPIN
	}
	cert, err := Certificate(g.o.Dir, p)
	if err != nil {
		return fmt.Sprintf("%s: %v", not, err)
	}
	if old := g.cert.Swap(cert); old == nil || Fingerprint(old) != Fingerprint(cert) {
		g.o.Log.Info("the certificate of the page", "sha256", Fingerprint(cert))
	}
	return ""
}

func (g *Guard) openMissing(ctx context.Context, want map[place]bool, open map[place]*http.Server, ended chan<- *http.Server) (trouble []string) {
	for at := range want {
		if open[at] != nil {
			continue
		}
		l, err := g.listen(ctx, at.network, at.address)
		if err != nil {
			if !at.optional && ctx.Err() == nil {
				trouble = append(trouble, fmt.Sprintf("the page can't be shown at %s: %v; tried again by itself", at.address, err))
			}
			continue
		}
		srv := g.server(at)
		open[at] = srv
		g.o.Log.Info("the page is open", "address", l.Addr().String())
		d := newDoor(l, g, at.metric)
		go d.run()
		go func() {
			err := srv.Serve(d)
			if errors.Is(err, http.ErrServerClosed) {
				return
			}
			g.o.Log.Warn("the page is not open any more", "address", at.address, "error", err)
			select {
			case ended <- srv:
			case <-ctx.Done():
			}
		}()
	}
	return trouble
}

func (g *Guard) server(at place) *http.Server {
	var h http.Handler = g
	if at.metric {
		h = g.metricsOnly()
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler: h, Protocols: protocols,
		ReadHeaderTimeout: headTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // strangers must not fill the log
	}
}

// metricsOnly serves Prometheus at an address of its own, under any name: it holds nothing that a page could act on.
func (g *Guard) metricsOnly() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header(), newNonce())
		if r.URL.Path != metricsPath || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		g.o.Metrics.ServeHTTP(w, r)
	})
}

var errNoCertificate = errors.New("there is no certificate")

func (g *Guard) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := g.cert.Load(); c != nil {
		return c, nil
	}
	return nil, errNoCertificate
}
