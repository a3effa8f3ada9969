package daemon

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// nap is the longest sleep without a look at the wall clock.
const nap = time.Minute

// poller calls check at the schedule. Sleeping is done on the monotonic clock in short pieces, each followed by a look at the wall clock,
// which may jump by years when a computer without a battery hears the time.
type poller struct {
	next func(time.Time) time.Time
	soon time.Duration
	now  func() time.Time
	log  *slog.Logger
	nap  time.Duration
	at   atomic.Pointer[time.Time] // of the next check
}

func newPoller(next func(time.Time) time.Time, soon time.Duration, now func() time.Time, log *slog.Logger) *poller {
	return &poller{next: next, soon: soon, now: now, log: log, nap: nap}
}

// Next returns when the next check is due, nil when none is planned.
func (p *poller) Next() *time.Time { return p.at.Load() }

func (p *poller) run(ctx context.Context, check func(context.Context) error) {
	due := func(now time.Time) time.Time { return now.Add(p.soon) }
	for p.wait(ctx, due) {
		if err := check(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("check failed", "error", err)
		}
		due = p.next
	}
}

// wait sleeps until the moment that due gives; it reports false when ctx ends first. When the wall clock goes back, due is asked again.
func (p *poller) wait(ctx context.Context, due func(time.Time) time.Time) bool {
	asked := p.now().Round(0)
	at := due(asked)
	for {
		now := p.now().Round(0)
		if now.Before(asked) {
			at = due(now)
		}
		asked = now
		p.plan(at)
		if !at.IsZero() && !at.After(now) {
			return true
		}
		sleep := p.nap
		if !at.IsZero() {
			sleep = min(sleep, at.Sub(now))
		}
		timer := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

func (p *poller) plan(at time.Time) {
	if at.IsZero() {
		p.at.Store(nil)
		return
	}
	p.at.Store(&at)
}
