//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"sync/atomic"
	"testing"
)

// Meter is a line to the registry that counts. It is a proxy: the site calls the registry by a name that is not of its own building.
type Meter struct {
	server *httptest.Server
	bytes  atomic.Int64
}

func newMeter(t testing.TB) *Meter {
	t.Helper()
	m := &Meter{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", world.registry, world.registry
		},
		ModifyResponse: func(r *http.Response) error {
			r.Body = &meteredBody{r.Body, m}
			return nil
		},
	}
	m.server = httptest.NewServer(proxy)
	t.Cleanup(m.server.Close)
	return m
}

// env makes programs use the meter for what is not of this computer.
func (m *Meter) env() []string {
	return []string{"HTTP_PROXY=" + m.server.URL, "http_proxy=" + m.server.URL, "NO_PROXY=127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,localhost"}
}

// count is how many bytes of answers have passed.
func (m *Meter) count() int64 { return m.bytes.Load() }

type meteredBody struct {
	io.ReadCloser
	meter *Meter
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.bytes.Add(int64(n))
	return n, err
}
