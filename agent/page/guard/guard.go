package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dhow/agent/site"
	"dhow/agent/words"
)

// Options are the parts of a Guard.
type Options struct {
	Dir     string              // of the PIN and the certificate, mode 0700
	Config  func() *site.Config // as it is now
	Metrics http.Handler        // of /metrics; nil means none
	Log     *slog.Logger
}

// Guard stands before the page. It is a handler for requests that come over its own connections.
type Guard struct {
	o     Options
	page  http.Handler
	cross *http.CrossOriginProtection
	pins  *pins
	conns *gate
	live  *gate
	cert  atomic.Pointer[tls.Certificate]

	isLoopback func(netip.Addr) bool
	listen     func(ctx context.Context, network, address string) (net.Listener, error)
	lookEvery  time.Duration

	mu      sync.Mutex
	trouble string
}

// MaxBody is the largest form, in bytes.
const MaxBody = 4 << 10

// New makes a guard of page; nothing listens before Run.
func New(o Options, page http.Handler) *Guard {
	began := time.Now()
	g := &Guard{
		o: o, page: page, cross: http.NewCrossOriginProtection(),
		conns: newGate(maxConnections, maxOfOne, maxHere), live: newGate(maxStreams, maxStreamsOfOne, maxStreamsHere),
		isLoopback: netip.Addr.IsLoopback, listen: new(net.ListenConfig).Listen, lookEvery: 5 * time.Second,
	}
	g.pins = newPINs(o.Dir, func() time.Duration { return time.Since(began) }, o.Log)
	return g
}

// reader is what is known of who asks.
type reader struct {
	here, proved bool
	nonce        string
}

type readerKey struct{}

func readerOf(r *http.Request) reader {
	who, _ := r.Context().Value(readerKey{}).(reader)
	return who
}

func (who reader) in(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), readerKey{}, who))
}

// NeedsPIN says whether a form in the answer to r must ask for the PIN.
func NeedsPIN(r *http.Request) bool { return !readerOf(r).here }

// Trusted says whether the answer to r may hold details: who asks sits at this computer, or has just given the PIN.
func Trusted(r *http.Request) bool { who := readerOf(r); return who.here || who.proved }

// Nonce is the value of the attribute nonce with which a style or script element of the answer to r is allowed.
func Nonce(r *http.Request) string { return readerOf(r).nonce }

// As is r as a guard would hand it on: from this computer or not, and with the right PIN or not.
func As(r *http.Request, here, proved bool) *http.Request {
	return reader{here: here, proved: proved, nonce: "test"}.in(r)
}

// ServeHTTP lets r through to the page, or says why not.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := reader{nonce: newNonce()}
	protect(w.Header(), who.nonce)
	local, remote := ends(r)
	who.here = g.here(local.Addr(), remote.Addr())
	r = who.in(r)
	switch {
	case !who.here && r.TLS == nil && g.rightPlainHost(r, local):
		// Nothing is told or done in plain on the network, but where it is.
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "https://"+r.Host+"/", http.StatusPermanentRedirect)
		return
	case !who.here && r.TLS == nil || !g.rightHost(r, local, who.here):
		g.refuse(w, r, http.StatusMisdirectedRequest, "guard.host", "address", "http://"+LocalAddress(g.o.Config().Page))
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		g.read(w, r, remote.Addr(), who)
	case http.MethodPost:
		g.order(w, r, remote.Addr(), who)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		g.refuse(w, r, http.StatusMethodNotAllowed, "guard.garbled")
	}
}

// read serves what changes nothing.
func (g *Guard) read(w http.ResponseWriter, r *http.Request, from netip.Addr, who reader) {
	switch {
	case r.ContentLength != 0:
		w.Header().Set("Connection", "close")
		g.refuse(w, r, http.StatusRequestEntityTooLarge, "guard.large")
	case r.URL.Path == metricsPath && g.o.Metrics != nil && g.o.Config().Metrics == "true" && who.here:
		g.o.Metrics.ServeHTTP(w, r)
	case r.URL.Path == streamPath && !ownStream(r):
		g.refuse(w, r, http.StatusForbidden, "guard.foreign")
	case r.URL.Path == streamPath && r.Method == http.MethodGet:
		g.stream(w, r, from, who)
	default:
		g.page.ServeHTTP(w, r)
	}
}

// order serves what may change something.
func (g *Guard) order(w http.ResponseWriter, r *http.Request, from netip.Addr, who reader) {
	if err := g.cross.Check(r); err != nil || !ownReferer(r) {
		g.refuse(w, r, http.StatusForbidden, "guard.foreign")
		return
	}
	if r.ContentLength > MaxBody {
		w.Header().Set("Connection", "close")
		g.refuse(w, r, http.StatusRequestEntityTooLarge, "guard.large")
		return
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/x-www-form-urlencoded" {
		g.refuse(w, r, http.StatusUnsupportedMediaType, "guard.garbled")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	var large *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &large):
		g.refuse(w, r, http.StatusRequestEntityTooLarge, "guard.large")
		return
	case err != nil:
		g.refuse(w, r, http.StatusBadRequest, "guard.garbled")
		return
	}
	if !who.here {
		if !g.admit(w, r, from) {
			return
		}
		who.proved = true
		r = who.in(r)
	}
	r.PostForm.Del("pin")
	r.Form.Del("pin")
	g.page.ServeHTTP(w, r)
}

// admit asks for the PIN.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, from netip.Addr) bool {
	wait, err := g.pins.try(r.Context(), from, r.PostForm.Get("pin"))
	switch {
	case err == nil:
		return true
	case errors.Is(err, errWait):
		retryAfter(w, wait)
		g.refuse(w, r, http.StatusTooManyRequests, "guard.wait", "time", g.words(r).Length(wait))
	case errors.Is(err, errNoPIN):
		g.refuse(w, r, http.StatusForbidden, "guard.unset")
	case errors.Is(err, errMissing):
		g.refuse(w, r, http.StatusForbidden, "guard.missing")
	case errors.Is(err, errWrong):
		g.refuse(w, r, http.StatusForbidden, "guard.wrong")
	default: // busy, or nothing can be written
		retryAfter(w, time.Minute)
		g.refuse(w, r, http.StatusServiceUnavailable, "guard.busy")
	}
	return false
}

// ownReferer judges what browsers send that know neither Sec-Fetch-Site nor Origin: without any of the three nobody can tell where a form came
// from, and another site's page could press the button.
func ownReferer(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" {
		return true
	}
	u, err := url.Parse(r.Header.Get("Referer"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// ownStream says whether the page itself asks for a stream: the page of another site could not read it, but take all places.
func ownStream(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		u, err := url.Parse(r.Header.Get("Origin")) // of old browsers, and only from another site
		return err == nil && (u.String() == "" || strings.EqualFold(u.Host, r.Host))
	}
	return false
}

// here says whether a connection between two addresses stays in this computer.
func (g *Guard) here(local, remote netip.Addr) bool {
	return local.IsValid() && remote.IsValid() && g.isLoopback(local) && g.isLoopback(remote)
}

// ends are the two ends of the connection that r came over.
func ends(r *http.Request) (local, remote netip.AddrPort) {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		local = addrPort(a.String())
	}
	return local, addrPort(r.RemoteAddr)
}

func addrPort(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// words are those of who asks: as wished on the page, as configured, as the browser says.
func (g *Guard) words(r *http.Request) *words.Reader {
	return words.For(r.URL.Query().Get("lang"), g.o.Config().Language, r.Header.Get("Accept-Language"))
}
