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

// stallable is an engine that gives signs of life, lists and events, and is without an answer of its containerd while stalled.
func stallable(t *testing.T, stalled *atomic.Bool, asked *atomic.Int32) *Engine {
	t.Helper()
	return silentAt(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			reply(w, http.StatusOK, []any{})
		case strings.HasSuffix(r.URL.Path, "/version"):
			reply(w, http.StatusOK, map[string]string{"ApiVersion": "1.48"})
		case strings.HasSuffix(r.URL.Path, "/events"):
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}, func(r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/version") || !stalled.Load() {
			return false
		}
		asked.Add(1)
		return true
	})
}

// TestAStalledContainerdDoesNotAnswer: the engine gives signs of life and lists, and can do nothing, for long. It is asked by one at a time, and once it
// answers all is well again.
func TestAStalledContainerdDoesNotAnswer(t *testing.T) {
	within, every, after := answersWithin, aliveEvery, stalledAfter
	answersWithin, aliveEvery, stalledAfter = time.Second, time.Millisecond, 50*time.Millisecond
	t.Cleanup(func() { answersWithin, aliveEvery, stalledAfter = within, every, after })
	var stalled atomic.Bool
	var asked, others atomic.Int32
	stalled.Store(true)
	if _, err := stallable(t, &stalled, &others).Info(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Info, by somebody who has not asked before: %v", err)
	}
	e := stallable(t, &stalled, &asked)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if e.Attend(ctx); ctx.Err() != nil {
		t.Error("Attend did not notice that containerd hangs")
	}
	if _, err := e.Containers(t.Context(), "emr"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Containers: %v", err)
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

// TestASlowContainerdIsNotAway: a computer that has its hands full, such as by a release that takes all of its memory, gives signs of life, and tells its
// version late. Nobody waits for that, it does not count as away, and so takes no blame from anybody; who has asked about it and waits no longer is
// not told so.
func TestASlowContainerdIsNotAway(t *testing.T) {
	var stalled atomic.Bool
	var asked atomic.Int32
	stalled.Store(true)
	e := stallable(t, &stalled, &asked)
	attended, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); e.Attend(attended) }()
	for range 20 {
		limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := e.Containers(limit, "emr"); err != nil {
			t.Fatalf("Containers: %v", err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := e.Info(short); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotRunning) {
		t.Errorf("Info: %v", err)
	}
	select {
	case <-ended:
		t.Error("Attend takes it for one that is away")
	default:
	}
	stop()
	<-ended
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
