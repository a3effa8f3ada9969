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
	p = New(Options{Next: next, Soon: time.Minute, Now: c.now, Log: slog.New(slog.DiscardHandler)}).poll
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

// A line that a test sets, and chance that always says the same.
type tested struct {
	clock
	line    Line
	chance  float64
	answers chan Line // how a check ends
}

func (c *tested) look() Line { c.mu.Lock(); defer c.mu.Unlock(); return c.line }

// answer ends a check, or stands for one that a person made.
func (c *tested) answer(down bool, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = Line{Asked: c.line.Asked + 1, Down: down, Pause: pause}
}

// start runs a poller whose checks end as the test says with answer.
func (c *tested) start(t *testing.T, next func(time.Time) time.Time) (*poller, chan time.Time) {
	t.Helper()
	p := New(Options{
		Next: next, Soon: time.Minute, Now: c.now, Line: c.look, Rand: func() float64 { return c.chance }, Log: slog.New(slog.DiscardHandler),
	}).poll
	p.nap = time.Millisecond
	c.answers = make(chan Line)
	checks := make(chan time.Time)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(ctx, func(ctx context.Context) error {
			select {
			case checks <- c.now():
			case <-ctx.Done():
				return nil
			}
			select {
			case end := <-c.answers:
				c.answer(end.Down, end.Pause)
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p, checks
}

func TestCheckIsRepeatedWhileNobodyAnswers(t *testing.T) {
	start := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		chance float64
		want   []string // the checks, from the one of the schedule on
	}{
		{1, []string{"22:01:00", "22:06:20", "22:16:40", "22:37:00", "01:00:00", "01:05:20"}},
		{0.5, []string{"22:01:00", "22:03:50", "22:09:10", "22:19:30", "22:39:50", "23:00:10", "01:00:00"}},
		{0, []string{"22:01:00", "22:01:20", "22:01:40", "22:02:00", "22:02:20"}},
	} {
		clock := &tested{clock: clock{t: start}, chance: c.chance}
		atOne := func(now time.Time) time.Time { return now.Truncate(24 * time.Hour).Add(25 * time.Hour) }
		p, checks := clock.start(t, atOne)
		for _, want := range c.want {
			at := waitPlanned(t, p, clock.now())
			if got := at.Format("15:04:05"); got != want {
				t.Errorf("chance %v: checked at %s, want %s", c.chance, got, want)
			}
			clock.set(at)
			<-checks
			clock.answers <- Line{Down: true}
		}
	}
}

// waitPlanned returns the next check once one after now is planned.
func waitPlanned(t *testing.T, p *poller, now time.Time) time.Time {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if at := p.Next(); at != nil && at.After(now) {
			return *at
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatal("no check is planned")
	return time.Time{}
}

func TestAnAnswerEndsTheRepetitions(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)
	clock := &tested{clock: clock{t: start}, chance: 0.5}
	p, checks := clock.start(t, hourly)
	planned(t, p, start.Add(time.Minute))
	clock.set(start.Add(time.Minute))
	<-checks
	clock.answers <- Line{Down: true}
	planned(t, p, start.Add(time.Minute+leastRetry+firstRetry/2))
	clock.answer(false, 0) // a person asked, and somebody answered
	planned(t, p, start.Add(30*time.Minute))
	clock.set(start.Add(30 * time.Minute))
	<-checks
	clock.answers <- Line{Down: true} // counted anew
	planned(t, p, start.Add(30*time.Minute+leastRetry+firstRetry/2))
}

func TestAServerIsGivenThePauseThatItAsksFor(t *testing.T) {
	start := time.Date(2026, 11, 21, 10, 59, 0, 0, time.UTC)
	clock := &tested{clock: clock{t: start}, chance: 0.5}
	p, checks := clock.start(t, hourly)
	planned(t, p, start.Add(time.Minute))
	clock.set(start.Add(time.Minute))
	<-checks
	clock.answers <- Line{Down: true, Pause: 2 * time.Hour} // later than the repetition, and than the schedule
	planned(t, p, start.Add(time.Minute+2*time.Hour+maxSpread/2))
	clock.answer(false, 0)
	clock.set(start.Add(time.Minute + 2*time.Hour + maxSpread/2))
	<-checks
	clock.answers <- Line{}
	planned(t, p, start.Add(3*time.Hour+time.Minute))
}

// A line that is cheap from midnight to four must not be used at ten because a server asked for a pause.
func TestAPauseEndsWithinTheHoursOfTheSchedule(t *testing.T) {
	start := time.Date(2026, 11, 21, 2, 59, 0, 0, time.UTC)
	nightly := func(now time.Time) time.Time {
		at := now.Truncate(time.Hour).Add(time.Hour)
		for at.Hour() > 3 {
			at = at.Add(time.Hour)
		}
		return at
	}
	clock := &tested{clock: clock{t: start}, chance: 0}
	p, checks := clock.start(t, nightly)
	planned(t, p, start.Add(time.Minute))
	clock.set(start.Add(time.Minute))
	<-checks
	clock.answers <- Line{Down: true, Pause: 30 * time.Minute}
	planned(t, p, start.Add(31*time.Minute))
	clock.answer(true, 90*time.Minute)
	planned(t, p, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) // not at 04:30
}

func TestNothingIsRepeatedWithoutASchedule(t *testing.T) {
	clock := &tested{clock: clock{t: time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)}}
	p, checks := clock.start(t, never)
	planned(t, p, clock.now().Add(time.Minute))
	clock.set(clock.now().Add(time.Minute))
	<-checks
	clock.answers <- Line{Down: true}
	planned(t, p, time.Time{})
}
