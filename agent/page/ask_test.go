package page

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dhow/agent/api"
)

// hung is an agent whose engine hangs: an answer takes as long as it is waited for the engine. It says how often it was asked when the question came.
type hung struct {
	Agent
	takes time.Duration
	asked atomic.Int64
	left  atomic.Int64 // questions that were given up
}

func (a *hung) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{Site: "kin-001", Manifest: a.asked.Add(1)}
	select {
	case <-time.After(a.takes):
		return s, nil
	case <-ctx.Done():
		a.left.Add(1)
		return s, ctx.Err()
	}
}

func (*hung) History(context.Context) ([]api.Update, error) { return nil, nil }
func (*hung) Backups(context.Context) ([]api.Backup, error) { return nil, nil }

func newHung(takes time.Duration) (*hung, *asker) {
	agent := &hung{takes: takes}
	return agent, &asker{agent: agent, machine: func() Machine { return Machine{} }}
}

// TestTogether: forty people who look while the engine hangs wait as long as one, for one question.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, asks := newHung(5 * time.Second)
		began := time.Now()
		answers := make(chan snapshot)
		for range 40 {
			go func() { answers <- asks.look(t.Context(), fresh) }()
		}
		for range 40 {
			if s := <-answers; s.Error != nil || s.Status.Manifest != 1 {
				t.Fatalf("the answer is that of question %d (%v)", s.Status.Manifest, s.Error)
			}
		}
		if took, asked := time.Since(began), agent.asked.Load(); took != 5*time.Second || asked != 1 {
			t.Errorf("forty waited for %s, and %d questions", took, asked)
		}
		// However long it took, it is new when it comes.
		if s := asks.look(t.Context(), fresh); s.Status.Manifest != 1 || time.Since(began) != 5*time.Second {
			t.Errorf("asked again at once, question %d", s.Status.Manifest)
		}
		<-time.After(fresh)
		if s := asks.look(t.Context(), fresh); s.Status.Manifest != 2 {
			t.Errorf("what is not fresh any more is told, of question %d", s.Status.Manifest)
		}
	})
}

// TestOrdered: who has ordered something is told how things are since, while others still wait for what was asked before; and that does not come back.
func TestOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, asks := newHung(5 * time.Second)
		before := make(chan snapshot)
		go func() { before <- asks.look(t.Context(), fresh) }()
		<-time.After(3 * time.Second)
		asks.forget()
		began := time.Now()
		after := make(chan snapshot)
		for range 2 {
			go func() { after <- asks.look(t.Context(), fresh) }()
		}
		if s := <-before; s.Status.Manifest != 1 || time.Since(began) != 2*time.Second {
			t.Errorf("who waited was told after %s of question %d", time.Since(began), s.Status.Manifest)
		}
		for range 2 {
			if s := <-after; s.Status.Manifest != 2 || time.Since(began) != 5*time.Second {
				t.Errorf("who ordered was told after %s of question %d", time.Since(began), s.Status.Manifest)
			}
		}
		go func() { before <- asks.look(t.Context(), fresh) }()
		if s := <-before; s.Status.Manifest != 2 {
			t.Errorf("then question %d is told", s.Status.Manifest)
		}
		// What an order rests on is asked anew, too.
		if s := asks.look(t.Context(), 0); s.Status.Manifest != 3 {
			t.Errorf("an order rests on question %d", s.Status.Manifest)
		}
		if n := agent.left.Load(); n != 0 {
			t.Errorf("%d questions were given up though somebody waited", n)
		}
	})
}

// TestLeft: who goes away takes the answer from nobody, and when all have gone, nothing is asked any more.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, asks := newHung(5 * time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answers := make(chan snapshot)
		for _, ctx := range []context.Context{short, t.Context()} {
			go func() { answers <- asks.look(ctx, fresh) }()
			synctest.Wait() // the first to ask is the first to go
		}
		if s := <-answers; !errors.Is(s.Error, context.DeadlineExceeded) {
			t.Errorf("who goes is told of question %d (%v)", s.Status.Manifest, s.Error)
		}
		if s := <-answers; s.Error != nil || s.Status.Manifest != 1 || agent.left.Load() != 0 {
			t.Errorf("who stays is told of question %d (%v)", s.Status.Manifest, s.Error)
		}
		<-time.After(fresh)
		short, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if s := asks.look(short, fresh); s.Error == nil || s.Status.Site != "kin-001" || time.Since(began) != time.Second || agent.left.Load() != 1 {
			t.Errorf("nobody waits any more, and after %s %d questions were given up: %+v", time.Since(began), agent.left.Load(), s)
		}
		if s := asks.look(t.Context(), fresh); s.Error != nil || s.Status.Manifest != 3 {
			t.Errorf("the next is told of question %d (%v)", s.Status.Manifest, s.Error)
		}
	})
}

// TestPanic: a mistake in an answer does not end the agent.
func TestPanic(t *testing.T) {
	asks := &asker{machine: func() Machine { return Machine{} }} // with no agent to ask
	if s := asks.look(t.Context(), fresh); s.Error == nil {
		t.Error("nothing is told of it")
	}
}
