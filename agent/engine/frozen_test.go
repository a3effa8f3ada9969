package engine

import (
	"context"
	"errors"
	"net"
	"path/filepath"
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
