package fetch

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"dhow/bundle"
)

// Network is what a process knows of the servers that it asks: TLS sessions to go on with, small documents with their ETags, how to log
// in. It makes a question to which the answer is "nothing new" one request over a resumed connection. It lives as long as the process and
// may be used by several goroutines. Nothing of it is trusted: a document that a server calls unchanged is verified like any other.
type Network struct {
	transport *http.Transport
	clock     Clock                    // nil: the computer's clock is right
	mirrors   func() map[string]string // nil: none
	certs     string                   // Docker's folder of certificates
	traffic   traffic

	mu       sync.Mutex
	kept     keeper
	logins   map[string]*login
	lost     map[lost]*http.Transport // see WithClock
	privates map[string]*private      // by owner, see own
	said     Said
	heard    time.Time            // when that was said, by the monotonic clock
	pauses   map[string]time.Time // the end of the longest pause that a source has asked for, by owner (see via)
}

// NewNetwork returns a Network that knows nothing yet.
func NewNetwork() *Network {
	t := newTransport(stallTimeout)
	t.TLSClientConfig = tlsConfig()
	// One request at a time over a connection that ends soon: HTTP/2 only adds to it.
	t.ForceAttemptHTTP2 = false
	n := &Network{transport: t, certs: certsDir(), logins: map[string]*login{}, pauses: map[string]time.Time{}}
	n.traffic.watch(t)
	return n
}

// tlsConfig makes handshakes small. The post-quantum key share alone is larger than everything else of a poll together, and what is read
// here is public and signed. P-256 and P-384 cost two bytes each and are for old servers.
func tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		ClientSessionCache: tls.NewLRUClientSessionCache(16),
	}
}

// Open opens a source, see the function Open.
func (n *Network) Open(ctx context.Context, spec string) (bundle.Source, error) {
	src, err := n.open(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("cannot open source %s: %w", Redact(spec), err)
	}
	return src, nil
}

// Close ends the connections that are not in use. What is known stays.
func (n *Network) Close() {
	n.transport.CloseIdleConnections()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.lost {
		t.CloseIdleConnections()
	}
	for _, p := range n.privates {
		p.transport.CloseIdleConnections()
	}
}

// Pause returns how much longer all of the sources of specs have asked not to be asked by a schedule (Retry-After of HTTP 429 and 503), 0 when
// one of them may be asked.
func (n *Network) Pause(specs []string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	least := time.Duration(0)
	for i, spec := range specs {
		wait := time.Until(n.pauses[ownerOf(spec)])
		if wait <= 0 {
			return 0
		}
		if i == 0 || wait < least {
			least = wait
		}
	}
	return least
}

// ownerOf is HOST[:PORT] of a source as via has it, "" for a path.
func ownerOf(spec string) string {
	if repo, _, err := Repository(spec); err == nil && strings.Contains(spec, "://") {
		return strings.ToLower(repo.RegistryStr())
	}
	if u, err := url.Parse(spec); err == nil {
		return strings.ToLower(u.Host)
	}
	return ""
}

// heed remembers the wish of a source for a pause. One of the building, and whoever a source sends us to, get a short one: they must not keep
// a site from its news.
func (n *Network) heed(owner string, resp *http.Response) {
	now := time.Now()
	wait, busy := retryAfter(resp, now)
	if !busy || owner == "" {
		return
	}
	if !strings.EqualFold(owner, resp.Request.URL.Host) || hostDistance(owner) <= LAN {
		wait = min(wait, maxNearPause)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	owner = strings.ToLower(owner)
	if until := now.Add(wait); until.After(n.pauses[owner]) {
		n.pauses[owner] = until
	}
}

// userAgent is short: it crosses the line at every poll.
const userAgent = "dhow"

// via returns the way on which requests of this network go for an owner, HOST[:PORT] of the source: it and whoever it sends us to are held
// against the authorities that somebody has named for it. plain allows http.
func (n *Network) via(owner string, plain bool) http.RoundTripper { return lean{n, owner, plain} }

// lean takes from requests what servers don't need, and listens to their wish for a pause and to what time it is there.
type lean struct {
	net   *Network
	owner string
	plain bool // http is allowed
}

func (l lean) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.Header.Get("User-Agent") == "" { // dhowctl's client of registries names itself
		req.Header.Set("User-Agent", userAgent)
	}
	req.Header.Del("Referer") // of a redirect: nobody's business
	t, err := l.net.route(l.owner, req.URL)
	if err != nil {
		return nil, err
	}
	resp, err := guard{t, l.plain}.RoundTrip(req)
	if err != nil {
		if words := l.net.tlsError(l.owner, req.URL, l.net.proxyError(req, err)); words != err {
			return nil, &kinded{words, err}
		}
		return nil, err
	}
	l.net.heed(l.owner, resp)
	l.net.hear(resp)
	return resp, nil
}
