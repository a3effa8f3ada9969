package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// frozen is the socket of an engine that takes connections and says nothing, as after SIGSTOP.
func frozen(t *testing.T) *Engine {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e, err := Connect("unix://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestAFrozenEngineDoesNotAnswer: it counts as one that is gone, whether the caller has a deadline or waits for ever. A deadline that had passed before
// says nothing about the engine.
func TestAFrozenEngineDoesNotAnswer(t *testing.T) {
	within, every := answersWithin, aliveEvery
	answersWithin, aliveEvery = 100*time.Millisecond, 50*time.Millisecond
	t.Cleanup(func() { answersWithin, aliveEvery = within, every })
	e := frozen(t)
	for name, limit := range map[string]time.Duration{"no deadline": time.Hour, "a short one": 20 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if _, err := e.Info(ctx); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: Info: %v", name, err)
		}
	}
	if _, err := e.Containers(t.Context(), "emr"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Containers: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := e.Info(late); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("after the deadline: %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if e.Attend(ctx); ctx.Err() != nil {
		t.Error("Attend did not notice that the engine hangs")
	}
}

// silentAt is an engine that answers, but for the calls that silent names: nobody is answered then until it answers again.
func silentAt(t *testing.T, answer func(w http.ResponseWriter, r *http.Request), silent func(r *http.Request) bool) *Engine {
	t.Helper()
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent(r) {
			<-ended
			return
		}
		w.Header().Set("Api-Version", "1.48")
		w.Header().Set("Content-Type", "application/json")
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(ended) })
	e, err := Connect("tcp://" + strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestAStalledContainerdDoesNotAnswer: the engine gives signs of life and lists, and can do nothing. It is asked by one at a time, and once it answers all
// is well again.
func TestAStalledContainerdDoesNotAnswer(t *testing.T) {
	within, every := answersWithin, aliveEvery
	answersWithin, aliveEvery = 100*time.Millisecond, time.Millisecond
	t.Cleanup(func() { answersWithin, aliveEvery = within, every })
	var stalled atomic.Bool
	var asked atomic.Int32
	stalled.Store(true)
	e := silentAt(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			reply(w, http.StatusOK, []any{})
		case strings.HasSuffix(r.URL.Path, "/version"):
			reply(w, http.StatusOK, map[string]string{"ApiVersion": "1.48"})
		}
	}, func(r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/version") || !stalled.Load() {
			return false
		}
		asked.Add(1)
		return true
	})
	for range 3 {
		if _, err := e.Containers(t.Context(), "emr"); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Containers: %v", err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("containerd was asked for %d times at once", n)
	}
	stalled.Store(false)
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := e.Containers(t.Context(), "emr")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after it goes on: %v", err)
		}
	}
}

// TestCallsEndWithTheirContext: an agent that is told to stop does, whatever it has asked a frozen engine for.
func TestCallsEndWithTheirContext(t *testing.T) {
	within := tidyWithin
	tidyWithin = 50 * time.Millisecond
	t.Cleanup(func() { tidyWithin = within })
	img := imageOf(t, "app", "one")
	for _, tt := range []struct {
		name, at string
		call     func(ctx context.Context, e *Engine) error
	}{
		{"the streams of a command", "/exec/e/start", func(ctx context.Context, e *Engine) error {
			_, _, err := e.Exec(ctx, "c", []string{"true"}, nil, io.Discard)
			return err
		}},
		{"a load", "/images/load", func(ctx context.Context, e *Engine) error { return e.Load(ctx, img, nil) }},
		{"a volume", "/containers/c/archive", func(ctx context.Context, e *Engine) error {
			_, err := e.VolumeTar(ctx, "v", "i")
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var frozen atomic.Bool
			e := silentAt(t, func(w http.ResponseWriter, r *http.Request) {
				switch path := r.URL.Path; {
				case strings.HasSuffix(path, "/exec"), strings.HasSuffix(path, "/containers/create"):
					reply(w, http.StatusCreated, map[string]string{"Id": map[bool]string{true: "e", false: "c"}[strings.HasSuffix(path, "/exec")]})
				case strings.HasSuffix(path, "/images/json"), strings.HasSuffix(path, "/containers/json"):
					reply(w, http.StatusOK, []any{})
				case strings.Contains(path, "/images/"):
					reply(w, http.StatusNotFound, map[string]string{"message": "No such image"})
				}
			}, func(r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, tt.at) {
					frozen.Store(true)
					stop()
				}
				return frozen.Load()
			})
			ended := make(chan error, 1)
			go func() { ended <- tt.call(ctx, e) }()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("it goes on waiting for the engine")
			}
		})
	}
}
