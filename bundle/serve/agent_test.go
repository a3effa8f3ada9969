package serve

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAgent: a port in use is a warning and is tried again, and the configuration is followed.
func TestAgent(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var address atomic.Value
	address.Store(taken.Addr().String())
	a := &Agent{
		Address: func() string { return address.Load().(string) }, Handler: NewHandler(&strict{t: t}, nil), Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx) }()
	await := func(what string, cond func() bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(30 * time.Second); !cond(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("waited for %s; the warning is %q", what, a.Warning())
			}
		}
	}
	answers := func() bool {
		resp, err := http.Get("http://" + taken.Addr().String() + "/metadata/timestamp.json")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	await("a warning", func() bool {
		return strings.HasPrefix(a.Warning(), "neighbours can't fetch from this site: listen tcp 127.0.0.1:") &&
			strings.HasSuffix(a.Warning(), "; tried again by itself")
	})
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	await("the port", answers)
	if w := a.Warning(); w != "" {
		t.Errorf("it still warns: %s", w)
	}
	address.Store("")
	await("the end of it", func() bool { return !answers() })
	cancel()
	<-ended
}
