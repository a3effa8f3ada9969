package daemon

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Line is what the sources answered last.
type Line struct {
	Asked uint64        // how often they have been asked since the start, at the end of each
	Down  bool          // none answered, or a transfer broke off
	Pause time.Duration // for so long a server has asked not to be asked
}

const (
	// nap is the longest sleep without a look at the wall clock and the line.
	nap = time.Minute

	// A check that reached nobody is repeated after a random time of up to firstRetry, then up to twice as long, and so on up to maxRetry:
	// when a server comes back its sites do not all come at once. It is not repeated later than retryFor after the check of the schedule,
	// which may stand where the line is cheap.
	firstRetry = 5 * time.Minute
	maxRetry   = 40 * time.Minute
	retryFor   = time.Hour
	// leastRetry lets a line that is just coming up come up.
	leastRetry = 20 * time.Second
	// maxSpread bounds by how much sites come later than the end of a pause that a server has asked for.
	maxSpread = 15 * time.Minute
)

// poller calls check at the schedule. Sleeping is done on the monotonic clock in short pieces, each followed by a look at the wall clock,
// which may jump by years when a computer without a battery hears the time.
type poller struct {
	next func(time.Time) time.Time
	soon time.Duration
	line func() Line
	rand func() float64 // from 0 to 1
	now  func() time.Time
	log  *slog.Logger
	nap  time.Duration
	at   atomic.Pointer[time.Time] // of the next check

	asked    uint64    // Line.Asked that was looked at last
	failures int       // in a row, since the check of the schedule
	since    time.Time // of the first of them
	retry    time.Time // zero: nothing is to be repeated
	until    time.Time // not before; zero: no pause was asked for
}

func newPoller(o Options) *poller {
	return &poller{next: o.Next, soon: o.Soon, line: o.Line, rand: o.Rand, now: o.Now, log: o.Log, nap: nap}
}

// Next returns when the next check is due, nil when none is planned.
func (p *poller) Next() *time.Time { return p.at.Load() }

func (p *poller) run(ctx context.Context, check func(context.Context) error) {
	due := func(now time.Time) time.Time { return now.Add(p.soon) }
	for p.wait(ctx, due) {
		if p.retry.IsZero() {
			p.failures = 0
		}
		p.retry = time.Time{}
		if err := check(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("check failed", "error", err)
		}
		due = p.next
	}
}

// wait sleeps until the moment that due gives, or a repetition before it; it reports false when ctx ends first. When the wall clock goes
// back, due is asked again.
func (p *poller) wait(ctx context.Context, due func(time.Time) time.Time) bool {
	asked := p.now().Round(0)
	at := due(asked)
	for {
		now := p.now().Round(0)
		if now.Before(asked) {
			at, p.retry, p.until = due(now), time.Time{}, time.Time{}
		}
		asked = now
		p.look(now)
		when := p.when(at)
		p.plan(when)
		if !when.IsZero() && !when.After(now) {
			return true
		}
		sleep := p.nap
		if !when.IsZero() {
			sleep = min(sleep, when.Sub(now))
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

// look plans a repetition when the sources did not answer, and hears what a server asks for.
func (p *poller) look(now time.Time) {
	line := p.line()
	if end := now.Add(line.Pause); line.Pause > 0 && end.After(p.until) {
		p.until = end.Add(time.Duration(p.rand() * float64(min(line.Pause, maxSpread))))
	}
	if line.Asked == p.asked {
		return
	}
	p.asked = line.Asked
	if !line.Down {
		p.failures, p.retry = 0, time.Time{}
		return
	}
	if p.failures == 0 {
		p.since = now
	}
	longest := maxRetry
	if p.failures < 3 {
		longest = firstRetry << p.failures
	}
	p.failures++
	p.retry = now.Add(leastRetry + time.Duration(p.rand()*float64(longest)))
	if p.retry.After(p.since.Add(retryFor)) {
		p.retry = time.Time{}
	}
}

// when is the next check: that of the schedule or a repetition, but not within a pause. Without a schedule nothing is repeated. Who asks for a
// pause that leads out of the hours of the schedule is asked again in the next ones.
func (p *poller) when(at time.Time) time.Time {
	switch {
	case at.IsZero():
		return at
	case !p.retry.IsZero() && p.retry.Before(at):
		at = p.retry
	default:
		p.retry = time.Time{}
	}
	if !at.Before(p.until) {
		return at
	}
	if slot := p.next(p.until.Add(-retryFor)); slot.After(p.until) {
		return slot
	}
	return p.until
}

func (p *poller) plan(at time.Time) {
	if at.IsZero() {
		p.at.Store(nil)
		return
	}
	p.at.Store(&at)
}
