//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/installer/systemdtest"
)

// slowEngine passes on what the engine is asked for, and can hold back the making of containers: an update stands still then, while everything
// else is answered.
type slowEngine struct {
	t    testing.TB
	path string // of its socket

	mu   sync.Mutex
	gate chan struct{} // closed when nothing is held back
	held chan struct{} // closed once something is
}

func newSlowEngine(t testing.TB, path string) *slowEngine {
	t.Helper()
	e := &slowEngine{t: t, path: path, gate: make(chan struct{})}
	close(e.gate)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", systemdtest.Engine)
	}}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/containers/create") {
			e.pass(r.Context())
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return e
}

func (e *slowEngine) pass(ctx context.Context) {
	e.mu.Lock()
	gate := e.gate
	if e.held != nil {
		close(e.held)
		e.held = nil
	}
	e.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
	}
}

// hold holds back what comes from now on.
func (e *slowEngine) hold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gate, e.held = make(chan struct{}), make(chan struct{})
}

func (e *slowEngine) awaitHeld(within time.Duration) {
	e.t.Helper()
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-time.After(within):
		e.t.Fatalf("waited %s for a container to be made", within)
	}
}

func (e *slowEngine) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.gate)
}
