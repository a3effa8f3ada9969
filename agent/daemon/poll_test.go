package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"
)

// clock is a wall clock that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) set(t time.Time) { c.mu.Lock(); defer c.mu.Unlock(); c.t = t }

// hourly is the next full hour.
func hourly(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }

func poll(t *testing.T, c *clock, next func(time.Time) time.Time) (p *poller, checks chan time.Time) {
	t.Helper()
	p = newPoller(next, time.Minute, c.now, slog.New(slog.DiscardHandler))
	p.nap = time.Millisecond
	checks = make(chan time.Time)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(ctx, func(ctx context.Context) error {
			select {
			case checks <- c.now():
			case <-ctx.Done():
			}
			return errors.New("no source answers")
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p, checks
}

func planned(t *testing.T, p *poller, want time.Time) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		at := p.Next()
		if (at == nil && want.IsZero()) || (at != nil && at.Equal(want)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("next check is %v, want %v", at, want)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func TestPollsSoonAndThenAtTheSchedule(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)
	c := &clock{t: start}
	p, checks := poll(t, c, hourly)
	planned(t, p, start.Add(time.Minute))
	c.set(start.Add(time.Minute))
	<-checks
	planned(t, p, start.Add(30*time.Minute))
	c.set(start.Add(30 * time.Minute))
	<-checks
	planned(t, p, start.Add(90*time.Minute))
	select {
	case at := <-checks:
		t.Errorf("checked again at %v", at)
	default:
	}
}

// A computer that starts in 2010 hears the time in the middle of its sleep, and later somebody sets the clock back.
func TestPollSurvivesAJumpingClock(t *testing.T) {
	c := &clock{t: time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)}
	p, checks := poll(t, c, hourly)
	planned(t, p, c.now().Add(time.Minute))
	c.set(time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC))
	<-checks
	planned(t, p, time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC))
	c.set(time.Date(2025, 1, 1, 5, 30, 0, 0, time.UTC))
	planned(t, p, time.Date(2025, 1, 1, 6, 0, 0, 0, time.UTC))
	c.set(time.Date(2025, 1, 1, 6, 0, 0, 0, time.UTC))
	<-checks
}

func TestPollWithoutASchedule(t *testing.T) {
	c := &clock{t: time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)}
	p, checks := poll(t, c, never)
	planned(t, p, c.now().Add(time.Minute))
	c.set(c.now().Add(time.Minute))
	<-checks
	planned(t, p, time.Time{})
}
