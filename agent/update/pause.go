package update

import (
	"context"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle/fetch"
)

// factPause holds a Pause.
const factPause = "pause"

// Pause is what a person has ordered: nothing is fetched over a line or the local network.
type Pause struct {
	Since time.Time     `json:"since"`
	For   time.Duration `json:"for,omitempty"` // 0: until a person resumes
	Ran   time.Duration `json:"ran,omitempty"` // for how long the agent has run in it
}

// pauseState is the pause as this process knows it.
type pauseState struct {
	Pause
	holds bool
	from  time.Duration // up to when Ran counts, since the start of the process
}

// over reports whether a pause has ended. By whatever clock: one that was set back must not make it last for ever.
func (p Pause) over(now time.Time) bool {
	if p.For == 0 {
		return false
	}
	since := now.Sub(p.Since)
	return p.Ran >= p.For || since >= p.For || since < -time.Minute
}

// until is when it ends by itself.
func (p Pause) until() time.Time {
	if p.For == 0 {
		return time.Time{}
	}
	return p.Since.Add(p.For)
}

// longestPause is a bound for what is more likely a mistake.
const longestPause = 90 * 24 * time.Hour

// Pause stops fetching over a line and the local network at once. What runs, an apply and what is ordered from a stick go on.
func (m *Manager) Pause(_ context.Context, r api.PauseRequest) (api.Paused, error) {
	d := time.Duration(r.Seconds) * time.Second
	if r.Seconds < 0 || r.Seconds > int64(longestPause/time.Second) || d > 0 && d < time.Minute {
		return api.Paused{}, api.Fail(api.CodeUsage, "without --for it lasts until: dhow resume", "a pause lasts from 1 minute to 90 days").In("pause_range")
	}
	p := Pause{Since: m.now(), For: d}
	m.meter.mu.Lock()
	err := m.Journal.SetFact(factPause, p)
	if err == nil {
		m.meter.pause = &pauseState{Pause: p, holds: true, from: time.Since(m.begun)}
	}
	m.meter.mu.Unlock()
	if err != nil {
		return api.Paused{}, err
	}
	m.Log.Info("fetching is paused by a person", "for", d)
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.unfinished()
	if err != nil || c == nil || c.Kind != KindFetch || c.ID != m.running || c.Cause != nil {
		return api.Paused{Pause: pauseAnswer(p)}, err
	}
	var plan fetchPlan
	if err := c.ReadPlan(&plan); err != nil {
		return api.Paused{}, err
	}
	if plan.From == "" || !onThisComputer(plan.From) {
		m.cancel(waits(m.pauseHold(p)))
	}
	return api.Paused{Pause: pauseAnswer(p)}, nil
}

// Resume ends a pause.
func (m *Manager) Resume(context.Context) (api.Paused, error) {
	before, err := m.pause()
	if err != nil {
		return api.Paused{}, err
	}
	m.meter.mu.Lock()
	err = m.Journal.SetFact(factPause, nil)
	if err == nil {
		m.meter.pause = &pauseState{}
	}
	m.meter.mu.Unlock()
	if err != nil {
		return api.Paused{}, err
	}
	m.poke()
	if before == nil {
		return api.Paused{}, nil
	}
	m.Log.Info("a person lets fetching go on")
	return api.Paused{Ended: pauseAnswer(*before)}, nil
}

// pause is what a person has ordered and has not ended, nil for nothing.
func (m *Manager) pause() (*Pause, error) {
	r := &m.meter
	r.mu.Lock()
	defer r.mu.Unlock()
	up := time.Since(m.begun)
	if r.pause == nil {
		s := pauseState{from: up}
		found, err := m.Journal.Fact(factPause, &s.Pause)
		if err != nil {
			return nil, err
		}
		s.holds = found
		r.pause = &s
	}
	if !r.pause.holds {
		return nil, nil
	}
	p := r.pause.Pause
	p.Ran += up - r.pause.from
	if p.over(m.now()) {
		if err := m.Journal.SetFact(factPause, nil); err != nil {
			return nil, err
		}
		r.pause = &pauseState{}
		m.Log.Info("the pause is over")
		return nil, nil
	}
	if p.For > 0 && up-r.pause.from > saveAfter {
		if err := m.Journal.SetFact(factPause, p); err != nil {
			return nil, err
		}
		r.pause.Pause, r.pause.from = p, up
	}
	return &p, nil
}

func pauseAnswer(p Pause) *api.Pause {
	a := &api.Pause{Since: p.Since}
	if end := p.until(); !end.IsZero() {
		a.Until = &end
	}
	return a
}

// pauseHold is what a pause allows.
func (m *Manager) pauseHold(p Pause) *hold {
	h := &hold{within: fetch.Local, until: p.until(), text: "paused by a person", said: api.Say("hold_pause"), hint: "dhow resume ends the pause"}
	if !h.until.IsZero() {
		zone := time.Local
		if z := m.limitsNow().zone; z != nil {
			zone = z
		}
		h.text += " until " + clockText(h.until, m.now().In(zone))
		h.said = api.Say("hold_pause_until", "moment", plainMoment(h.until, m.now().In(zone)))
	}
	return h
}

// waits is the cause of a fetch that ends and goes on later.
func waits(h *hold) change.Cause {
	return saying(change.Cause{Class: change.ClassWaits, Message: h.text, Hint: h.hint}, h.said)
}

// failure is how a step ends that a hold has stopped.
func (h *hold) failure() *change.Failure {
	f := &change.Failure{Class: change.ClassWaits, Hint: h.hint, Err: h}
	if h.said != nil {
		f.Kind, f.Args = h.said.Kind, h.said.Args
	}
	return f
}

// saying gives a cause the sentence that it is in other languages. What waits and yields is no error: its kind is that of a Said.
func saying(c change.Cause, said *api.Said) change.Cause {
	if said != nil {
		c.Kind, c.Args = said.Kind, said.Args
	}
	return c
}

// saidBy is the sentence of a cause that saying has made, nil for none.
func saidBy(c *change.Cause) *api.Said {
	if c == nil || c.Kind == "" || !polite(c.Class) {
		return nil
	}
	return &api.Said{Kind: c.Kind, Args: c.Args}
}
