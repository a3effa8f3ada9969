package fetch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"

	inmemory "github.com/google/go-containerregistry/pkg/registry"
)

// day is a day of the autumn in which the certificates of these tests are good; it may be negative.
func day(n int) time.Time { return time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials int64

// issue makes a certificate that is good between two days. A nil authority signs itself.
func (a *authority) issue(t *testing.T, from, to int, change func(*x509.Certificate)) (*authority, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serials++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serials), Subject: pkix.Name{CommonName: fmt.Sprint("test ", serials)},
		NotBefore: day(from), NotAfter: day(to), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	change(c)
	parent, signer := c, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, made, key}, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: made}
}

func isAuthority(c *x509.Certificate) { c.IsCA = true }

func forLoopback(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// lostClock is a clock that a test sets.
type lostClock struct{ now, floor time.Time }

func (c *lostClock) read() (now, floor time.Time, wrong bool) {
	return c.now, c.floor, c.floor.Sub(c.now) > time.Hour
}

// secured serves a timestamp over TLS with a chain.
func secured(t *testing.T, chain tls.Certificate, inner http.Handler) *asked {
	t.Helper()
	a := &asked{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.resume = append(a.resume, r.TLS != nil && r.TLS.DidResume)
		a.mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.TLS = &tls.Config{Certificates: []tls.Certificate{chain}}
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

var said = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", day(30).Format(http.TimeFormat))
	_, _ = io.WriteString(w, "{}")
})

func TestLostClock(t *testing.T) {
	root, _ := (*authority)(nil).issue(t, -3000, 3000, isAuthority)
	stranger, _ := (*authority)(nil).issue(t, -3000, 3000, isAuthority)
	over, _ := root.issue(t, -300, 20, isAuthority)
	renewed, _ := root.issue(t, 50, 1000, isAuthority)
	late, _ := (*authority)(nil).issue(t, 45, 3000, isAuthority)
	// leaf is good from day 30 to day 120 and may stand on an authority between it and the root.
	leaf := func(by *authority, change func(*x509.Certificate)) tls.Certificate {
		_, c := by.issue(t, 30, 120, func(c *x509.Certificate) { forLoopback(c); change(c) })
		if by != nil && by != root && by != stranger && by != late {
			c.Certificate = append(c.Certificate, by.cert.Raw)
		}
		return c
	}
	same := func(*x509.Certificate) {}
	good := leaf(root, same)
	dead := day(-20000)
	for _, c := range []struct {
		name       string
		chain      tls.Certificate
		now, floor time.Time
		refused    string // in the error; empty: it is taken
	}{
		{"a right clock", good, day(60), day(50), ""},
		{"a right clock, the certificate is over", good, day(130), day(50), "the server's certificate is good from 2026-10-01 to 2026-12-30, and by this computer's clock it is 2027-01-09: is the clock right?"},
		{"a right clock before the certificate", good, day(20), day(10), "good from 2026-10-01 to 2026-12-30, and by this computer's clock it is 2026-09-21"},
		{"a clock some minutes behind", good, day(30).Add(-20 * time.Minute), day(30).Add(-10 * time.Minute), "is the clock right?"},
		{"a clock that nobody can doubt", good, dead, time.Time{}, "is the clock right?"},
		{"a year ahead", good, day(425), day(50), "and by this computer's clock it is 2027-10-31: is the clock right?"},
		{"2038", good, time.Unix(1<<31, 0), day(50), "and by this computer's clock it is 2038-01-19: is the clock right?"},
		{"lost", good, dead, day(50), ""},
		{"lost, floor before the certificate", good, dead, day(-400), ""},
		{"lost, floor in its last second", good, dead, day(120), ""},
		{"lost, the certificate was over before the floor", good, dead, day(121), "the server's certificate is good from 2026-10-01 to 2026-12-30, and it is at least 2026-12-31"},
		{"lost, another authority", leaf(stranger, same), dead, day(50), "unknown authority"},
		{"lost, signed by itself", leaf(nil, same), dead, day(50), "unknown authority"},
		{"lost, another host", leaf(root, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"example.org"}, nil }), dead, day(50), "the certificate is not for 127.0.0.1 but for example.org (a login page of the network?)"},
		{"lost, not for servers", leaf(root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), dead, day(50), "incompatible key usage"},
		{"lost, an authority between that ended before the floor", leaf(over, same), dead, day(50), "and it is at least 2026-10-21"},
		{"lost, an authority between that ended before its leaf begins", leaf(over, same), dead, day(10), "and it is at least 2026-09-11"},
		{"lost, an authority that was renewed after the leaf", leaf(renewed, same), dead, day(10), ""},
		{"lost, a root that was renewed after the leaf", leaf(late, same), dead, day(10), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := secured(t, c.chain, said)
			clock := &lostClock{c.now, c.floor}
			n := fetch.NewNetwork().WithClock(clock.read)
			pool := x509.NewCertPool()
			pool.AddCert(root.cert)
			pool.AddCert(late.cert)
			n.TLS().RootCAs = pool
			_, err := stamp(t, n, server.URL)
			if c.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				if h := n.Heard(); h.Server != "127.0.0.1" || h.Time.Before(day(30)) || h.Time.After(day(31)) {
					t.Errorf("heard %+v", h)
				}
				return
			}
			if !errors.Is(err, bundle.ErrUnreachable) || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("got %v\nwant %s", err, c.refused)
			}
			if h := n.Heard(); h != (fetch.Said{}) {
				t.Errorf("heard %+v of a server that was refused", h)
			}
		})
	}
	t.Run("a network without a clock", func(t *testing.T) { // as dhowctl's
		_, c := root.issue(t, 30000, 30100, forLoopback)
		n := fetch.NewNetwork()
		n.TLS().RootCAs = x509.NewCertPool()
		n.TLS().RootCAs.AddCert(root.cert)
		if _, err := stamp(t, n, secured(t, c, said).URL); err == nil || !strings.Contains(err.Error(), "the server's certificate is good from 2108-10-21 to 2109-01-29") {
			t.Error(err)
		}
	})
}

// TestLostClockAndSessions: a session that goes on is verified like a new one, and the rule ends in the moment in which the clock is right.
func TestLostClockAndSessions(t *testing.T) {
	root, _ := (*authority)(nil).issue(t, -3000, 3000, isAuthority)
	_, chain := root.issue(t, 30, 120, forLoopback)
	server := secured(t, chain, said)
	clock := &lostClock{day(-20000), day(50)}
	n := fetch.NewNetwork().WithClock(clock.read)
	n.TLS().RootCAs = x509.NewCertPool()
	n.TLS().RootCAs.AddCert(root.cert)
	poll := func(what string, resumed bool, refused string) {
		t.Helper()
		server.resume = nil
		_, err := stamp(t, n, server.URL)
		switch {
		case refused != "":
			if err == nil || !strings.Contains(err.Error(), refused) || len(server.resume) != 0 {
				t.Errorf("%s: %v, asked %v", what, err, server.resume)
			}
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case len(server.resume) != 1 || server.resume[0] != resumed:
			t.Errorf("%s: resumed %v", what, server.resume)
		}
	}
	poll("lost", false, "")
	poll("lost, again", true, "")
	clock.floor = day(130)
	poll("lost, a manifest of a later day came on a stick", true, "and it is at least 2027-01-09")
	clock.now = day(131)
	poll("right, and the certificate is over", false, "by this computer's clock it is 2027-01-10")
	clock.now, clock.floor = day(60), day(50)
	poll("right", false, "")
	poll("right, again", true, "")
	clock.now = day(-20000)
	poll("lost once more", true, "")
	clock.now = day(425)
	poll("ahead", false, "by this computer's clock it is 2027-10-31")
}

// TestLostClockAndTokens: the rule holds for a registry, for the server of its tokens and for another host to which it sends us.
func TestLostClockAndTokens(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	memory := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(memory)
	defer open.Close()
	if err := pack.PublishOCI(ctx, "oci://"+strings.TrimPrefix(open.URL, "http://")+"/clinic/emr", contents(s, r), nil); err != nil {
		t.Fatal(err)
	}
	root, _ := (*authority)(nil).issue(t, -3000, 3000, isAuthority)
	_, chain := root.issue(t, 30, 120, forLoopback)
	_, expired := root.issue(t, -200, -100, forLoopback)
	for _, tokens := range []tls.Certificate{chain, expired} {
		clock := &lostClock{day(-20000), day(50)}
		asked := 0
		token := secured(t, tokens, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			_, _ = io.WriteString(w, `{"token": "yes", "expires_in": 3600}`)
		}))
		storage := secured(t, chain, memory)
		registry := secured(t, chain, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Authorization") != "Bearer yes":
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(token.URL, "127.0.0.1", "localhost", 1)+`/token",service="test"`)
				w.WriteHeader(http.StatusUnauthorized)
			case strings.Contains(r.URL.Path, "/blobs/"):
				http.Redirect(w, r, strings.Replace(storage.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusTemporaryRedirect)
			default:
				memory.ServeHTTP(w, r)
			}
		}))
		n := fetch.NewNetwork().WithClock(clock.read)
		n.TLS().RootCAs = x509.NewCertPool()
		n.TLS().RootCAs.AddCert(root.cert)
		_, err := stamp(t, n, "oci://"+strings.TrimPrefix(registry.URL, "https://")+"/clinic/emr")
		if &tokens.Certificate[0][0] == &chain.Certificate[0][0] {
			if err != nil || asked != 1 || len(storage.resume) == 0 {
				t.Errorf("%v, asked for %d tokens, storage %d times", err, asked, len(storage.resume))
			}
		} else if err == nil || !strings.Contains(err.Error(), "and it is at least 2026-10-21") || asked != 0 {
			t.Errorf("a server of tokens whose certificate is over: %v, asked %d times", err, asked)
		}
	}
}
