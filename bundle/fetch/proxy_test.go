package fetch_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
)

// proxy is one as offices have it. Whatever host it is asked for, it leads to one server.
type proxy struct {
	*httptest.Server
	to     string // HOST:PORT
	login  string // NAME:PASSWORD that it wants
	status int    // for everybody
	mu     sync.Mutex
	asked  []string
}

func proxyTo(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{to: to}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	switch {
	case p.status != 0:
		w.WriteHeader(p.status)
		return
	case p.login != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.login)):
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	if r.Method == http.MethodConnect {
		_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	} else {
		r.Header.Set("Connection", "close")
		_ = r.Write(there)
	}
	done := make(chan bool, 2)
	go func() { _, _ = io.Copy(there, here); done <- true }()
	go func() { _, _ = io.Copy(here, there); done <- true }()
	<-done
}

func (p *proxy) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.asked, ", ")
	p.asked = nil
	return s
}

func TestProxies(t *testing.T) {
	p := publish(t, 50_000)
	root := authorityOf(t)
	_, chain := root.issue(t, -1, 1000, func(c *x509.Certificate) {
		forLoopback(c)
		c.DNSNames = []string{"registry.example.org"}
	})
	secure, plain := secured(t, chain, tagged(p.dir)), ask(t, false, tagged(p.dir))
	office, open := proxyTo(t, strings.TrimPrefix(secure.URL, "https://")), proxyTo(t, strings.TrimPrefix(plain.URL, "http://"))
	gone := httptest.NewServer(nil)
	gone.Close()
	office.login = "anna:tr0mbone"
	host := strings.TrimPrefix(office.URL, "http://")
	const there = ": cannot read metadata/timestamp.json: source does not answer: "
	for _, c := range []struct {
		name, https, http, no, spec string
		status                      int
		asked, want                 string
	}{
		{name: "https", https: "http://anna:tr0mbone@" + host, spec: "https://registry.example.org", asked: "CONNECT registry.example.org:443"},
		{name: "https, without a scheme", https: "anna:tr0mbone@" + host, spec: "https://registry.example.org", asked: "CONNECT registry.example.org:443"},
		{name: "http", http: open.URL, spec: "http://registry.example.org", asked: "GET registry.example.org"},
		{name: "not for this host", https: "http://" + host, no: "127.0.0.1,.example.org", spec: secure.URL},
		{
			name: "another password", https: "http://anna:0ld@" + host, spec: "https://registry.example.org", asked: "CONNECT registry.example.org:443",
			want: "https://registry.example.org: cannot read metadata/timestamp.json: the proxy wants a name and a password (HTTP 407): they stand in HTTP_PROXY or HTTPS_PROXY, as http://NAME:PASSWORD@HOST:PORT",
		},
		{
			name: "a registry, without a password", https: "http://" + host, spec: "oci://registry.example.org/emr", asked: "CONNECT registry.example.org:443",
			want: "oci://registry.example.org/emr: cannot read metadata/timestamp.json: the proxy wants a name and a password (HTTP 407): they stand in HTTP_PROXY or HTTPS_PROXY, as http://NAME:PASSWORD@HOST:PORT",
		},
		{
			name: "refused", https: "http://anna:tr0mbone@" + host, spec: "https://registry.example.org", status: 403, asked: "CONNECT registry.example.org:443",
			want: "https://registry.example.org" + there + "the proxy " + host + " does not let us through (HTTP 403 Forbidden)",
		},
		{
			name: "gone", https: "http://anna:tr0mbone@" + strings.TrimPrefix(gone.URL, "http://"), spec: "https://registry.example.org",
			want: "https://registry.example.org" + there + "the proxy " + strings.TrimPrefix(gone.URL, "http://") + " can't be reached: " +
				strings.TrimPrefix(gone.URL, "http://") + ": connect: connection refused",
		},
		{
			name: "no address", https: "http://anna:tr0mbone@ host", spec: "https://registry.example.org",
			want: "https://registry.example.org" + there + "HTTPS_PROXY is not the address of a proxy: write it like http://HOST:PORT",
		},
		{
			name: "of another kind", http: "gopher://anna:tr0mbone@" + host, spec: "http://registry.example.org",
			want: "http://registry.example.org" + there + "HTTP_PROXY is not the address of a proxy: write it like http://HOST:PORT",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", c.https)
			t.Setenv("HTTP_PROXY", c.http)
			t.Setenv("NO_PROXY", c.no)
			office.status = c.status
			n := fetch.NewNetwork()
			n.TLS().RootCAs = x509.NewCertPool()
			n.TLS().RootCAs.AddCert(root.cert)
			_, err := stamp(t, n, c.spec)
			if got := office.taken() + open.taken(); got != c.asked {
				t.Errorf("the proxy is asked %q, want %q", got, c.asked)
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != c.want || !errors.Is(err, bundle.ErrUnreachable) || strings.Contains(err.Error(), "tr0mbone") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	t.Run("blobs, over one tunnel", func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", "http://anna:tr0mbone@"+host)
		office.status = 0
		n := fetch.NewNetwork()
		n.TLS().RootCAs = x509.NewCertPool()
		n.TLS().RootCAs.AddCert(root.cert)
		src, err := n.Open(ctx, "https://registry.example.org")
		if err != nil {
			t.Fatal(err)
		}
		moved, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
		line, lan := n.Traffic()
		if err != nil || line < moved.Bytes || lan != 0 || office.taken() != "CONNECT registry.example.org:443" {
			t.Errorf("%d bytes, %d on the line and %d in the building, error %v", moved.Bytes, line, lan, err)
		}
	})
}
