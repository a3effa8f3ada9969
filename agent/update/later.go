package update

import (
	"context"
	"sync"
	"time"

	"dhow/agent/api"
)

// factLater holds a Later.
const factLater = "later"

// Later is what a person has put off: no release is applied by itself until it is over. It is about the day, not about one release, so a newer
// one that comes meanwhile waits, too. update --now ends it.
type Later struct {
	// Until is the first moment of tomorrow's window; zero when the clock was wrong, so that nobody could tell.
	Until time.Time     `json:"until,omitzero"`
	For   time.Duration `json:"for"`           // from when it was said until then
	Ran   time.Duration `json:"ran,omitempty"` // for how long the agent has run in it
}

// over reports whether it has ended: by the clock of the wall while that can be believed, and by the running time of the agent whatever the
// clock says. A clock that was set back does not make it last longer than it should.
func (l Later) over(now time.Time, wrong bool) bool {
	return l.Ran >= l.For || !wrong && !l.Until.IsZero() && !now.Before(l.Until)
}

// putOff is a Later as this process knows it.
type putOff struct {
	mu    sync.Mutex
	known bool
	holds bool
	Later
	from time.Duration // up to when Ran counts, since the start of the process
}

// lostLater is for how long an update is put off while the clock is wrong.
const lostLater = 24 * time.Hour

// Later puts off what is ready, or may soon be, until the first window of tomorrow. It comes too late for an update that has begun.
func (m *Manager) Later(context.Context, api.LaterRequest) (api.Put, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.unfinished()
	if err != nil {
		return api.Put{}, err
	}
	if c != nil && c.Kind != KindFetch && !isErrand(c.Kind) {
		return api.Put{}, api.Fail(api.CodeBusy, "follow it with: dhow status", "the update has begun and can't be put off").In("begun")
	}
	now, l := m.now(), Later{For: lostLater}
	if !m.clockWrong() {
		l.Until = m.window().Tomorrow(now).UTC()
		l.For = l.Until.Sub(now)
	}
	p := &m.put
	p.mu.Lock()
	err = m.Journal.SetFact(factLater, l)
	if err == nil {
		p.Later, p.known, p.holds, p.from = l, true, true, time.Since(m.begun)
	}
	p.mu.Unlock()
	if err != nil {
		return api.Put{}, err
	}
	m.Log.Info("a person has put updates off", "for", l.For.Round(time.Minute))
	put := api.Put{Later: now.Add(l.For)}
	put.NextApply, err = m.nextApply()
	return put, err
}

// later is what a person has put off, nil when nothing is.
func (m *Manager) later() (*Later, error) {
	p := &m.put
	p.mu.Lock()
	defer p.mu.Unlock()
	up := time.Since(m.begun)
	if !p.known {
		holds, err := m.Journal.Fact(factLater, &p.Later)
		if err != nil {
			return nil, err
		}
		p.known, p.holds, p.from = true, holds, up
	}
	if !p.holds {
		return nil, nil
	}
	l := p.Later
	l.Ran += up - p.from
	over := l.over(m.now(), m.clockWrong())
	if !over && up-p.from <= saveAfter {
		return &l, nil
	}
	var fact any = l
	if over {
		fact = nil
	}
	if err := m.Journal.SetFact(factLater, fact); err != nil {
		return nil, err
	}
	p.Later, p.from, p.holds = l, up, !over
	if over {
		m.Log.Info("what a person has put off is over")
		return nil, nil
	}
	return &l, nil
}

// endLater ends it because a person wants an update now.
func (m *Manager) endLater() error {
	l, err := m.later()
	if err != nil || l == nil {
		return err
	}
	p := &m.put
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := m.Journal.SetFact(factLater, nil); err != nil {
		return err
	}
	p.holds = false
	return nil
}

// end is until when it lasts, as far as the clock can tell.
func (l Later) end(now time.Time) time.Time {
	if l.Until.IsZero() {
		return now.Add(l.For - l.Ran)
	}
	return l.Until
}

// nextApply is when the release that is ready is put in place by itself; nil when there is none, or when nobody can tell the hour.
func (m *Manager) nextApply() (*time.Time, error) {
	r, err := m.ready()
	if err != nil || r == nil {
		return nil, err
	}
	at := m.now()
	if r.Now || r.Archive != "" {
		return &at, nil
	}
	w := m.window()
	if m.clockWrong() && !w.Always() {
		return nil, nil
	}
	l, err := m.later()
	if err != nil {
		return nil, err
	}
	if m.rests(r) {
		at = r.NotBefore
	}
	if l != nil {
		if end := l.end(at); end.After(at) {
			at = end
		}
	}
	at = w.Next(at)
	return &at, nil
}
