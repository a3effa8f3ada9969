package update

import (
	"context"
	"sync"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
)

// hub holds the newest state of the change at work and wakes those who follow it. A slow follower misses what was in between, never
// the end.
type hub struct {
	mu       sync.Mutex
	live     *change.Change
	progress change.Progress
	began    since         // the step at work, in this process
	told     time.Time     // when progress in bytes was last told
	held     uint64        // the change that waits for the engine, or 0
	changed  chan struct{} // closed and replaced when something changes
}

// tellEvery is how often followers hear of progress in bytes.
const tellEvery = 200 * time.Millisecond

func (h *hub) init() { h.changed = make(chan struct{}) }

func (h *hub) publish(c *change.Change, p change.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live, h.progress = c, p
	_, step := c.Current()
	h.began.begins(c, step.Name)
	if p.Total > 0 && p.Done < p.Total {
		if time.Since(h.told) < tellEvery {
			return
		}
		h.told = time.Now()
	}
	h.signal()
}

func (h *hub) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signal()
}

func (h *hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// hold tells followers which change waits for the engine, 0 that none does.
func (h *hub) hold(id uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = id
	h.signal()
}

// state returns the newest state of a change, if it is at work, and a channel that is closed when anything changes.
func (h *hub) state(id uint64) (*change.Change, change.Progress, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.live == nil || h.live.ID != id:
		return nil, change.Progress{}, h.changed
	case h.held == id:
		return h.live, change.Progress{Message: "waits for the Docker Engine, which does not answer", Said: api.Say("engine_awaited")}, h.changed
	}
	return h.live, h.progress, h.changed
}

// atWork returns what is known of the change with this number, nil when it is not at work, and when its step began.
func (h *hub) atWork(id uint64) (*change.Change, change.Progress, since) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live == nil || h.live.ID != id || !h.live.Finished.IsZero() {
		return nil, change.Progress{}, since{}
	}
	return h.live, h.progress, h.began
}

// Changed returns a channel that is closed when anything changes.
func (m *Manager) Changed() <-chan struct{} {
	_, _, changed := m.hub.state(0)
	return changed
}

// Events follows a change: first its present state, then what happens. The channel is closed after the event with End, or when ctx ends.
func (m *Manager) Events(ctx context.Context, id uint64) (<-chan api.Event, error) {
	c, err := m.Journal.Change(id)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, api.Fail(api.CodeUsage, "dhow history lists them", "there is no such change").In("no_change")
	}
	out := make(chan api.Event)
	go func() {
		defer close(out)
		var last api.Event
		for {
			e, changed, err := m.event(id)
			if err != nil {
				e = api.Event{Change: id, End: true, Error: &api.Error{Code: api.CodeInternal, Message: err.Error()}}
			}
			if e.Step != last.Step || e.Done != last.Done || e.Undoing != last.Undoing || e.Message != last.Message || e.End || last.Change == 0 {
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
				last = e
			}
			if e.End {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// event describes a change as it stands now.
func (m *Manager) event(id uint64) (api.Event, <-chan struct{}, error) {
	c, p, changed := m.hub.state(id)
	m.mu.Lock()
	working := m.running == id
	m.mu.Unlock()
	if c == nil || !working {
		stored, err := m.Journal.Change(id)
		if err != nil {
			return api.Event{}, changed, err
		}
		if stored == nil {
			return api.Event{Change: id, End: true, Message: "nothing to do"}, changed, nil
		}
		c, p = stored, change.Progress{}
	}
	number, step := c.Current()
	e := api.Event{
		Change: id, Kind: c.Kind, Step: step.Name, StepNumber: number, StepCount: len(c.Steps),
		Undoing: c.Status() == change.Undoing, Message: p.Message, Done: p.Done, Total: p.Total,
	}
	e.Said, _ = p.Said.(*api.Said)
	if step.Trouble != "" && e.Message == "" {
		e.Message = step.Trouble
	}
	if stuck(c) {
		// It goes on, but nobody should wait for it.
		u, err := m.updateOf(c)
		e.End, e.Update = true, u
		e.Error = api.Fail(api.CodeStuck, "call for help and give the code "+m.receipt(c)+"; it is tried again by itself: dhow status",
			"going back can't finish: %s", step.Trouble).In("stuck", "cause", step.Trouble, "code", m.receipt(c))
		return e, changed, err
	}
	if c.Finished.IsZero() || working {
		if c.Kind != KindFetch && !isErrand(c.Kind) {
			u, err := m.updateOf(c)
			e.Update = u
			return e, changed, err
		}
		return e, changed, nil
	}
	e.End = true
	return e, changed, m.endEvent(c, &e)
}

// endEvent adds how a change ended.
func (m *Manager) endEvent(c *change.Change, e *api.Event) error {
	if isErrand(c.Kind) {
		return m.endErrand(c, e)
	}
	if c.Kind != KindFetch {
		u, err := m.updateOf(c)
		if err != nil {
			return err
		}
		e.Update = u
		if c.Cause != nil {
			e.Error = errorOf(c, u.Result)
		}
		return nil
	}
	var target targetNote
	if c.Cause != nil && (c.Cause.Class == change.ClassWaits || c.Cause.Class == change.ClassYields) {
		if _, err := c.ReadNote(stepPlan, &target); err != nil {
			return err
		}
		e.Message = target.Release + " is not all here yet: " + c.Cause.Message
		e.Said = api.Say("not_all_here", "release", target.Release, "cause", c.Cause.Message).For(saidBy(c.Cause))
		if target.Release == "" {
			e.Message, e.Said = c.Cause.Message, saidBy(c.Cause)
		}
		if c.Cause.Hint != "" {
			e.Message += "; " + c.Cause.Hint
		}
		return nil
	}
	if c.Cause != nil {
		e.Error = errorOf(c, "")
		return nil
	}
	if _, err := c.ReadNote(stepPlan, &target); err != nil {
		return err
	}
	if target.Nothing != "" {
		e.Message, e.Said = target.Nothing, target.Said
		return nil
	}
	next, err := m.applyOf(c.ID)
	if err != nil {
		return err
	}
	if next != 0 {
		e.Next = next
		return nil
	}
	e.Message, e.Said = target.Release+" is here", api.Say("here", "release", target.Release)
	switch w := m.window(); {
	case m.windowOpen():
	case m.clockWrong():
		e.Message += " and waits: while this computer's clock is wrong nobody can tell the hour; dhow update --now puts it in place at once"
		e.Said = api.Say("here_clock", "release", target.Release)
	default:
		hour := w.Next(m.now()).Local().Format("15:04")
		e.Message += " and will be put in place at " + hour + "; dhow update --now does it at once"
		e.Said = api.Say("here_waits", "release", target.Release, "hour", hour)
	}
	return nil
}

// applyOf returns the change that applies what a fetch brought, or 0.
func (m *Manager) applyOf(fetch uint64) (uint64, error) {
	list, err := m.Journal.Changes(func(c *change.Change) bool {
		var p applyPlan
		return (c.Kind == KindApply || c.Kind == KindRestore) && c.ReadPlan(&p) == nil && p.Fetch == fetch
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].ID, nil
}

// errorOf is what people are told of a change that was undone.
func errorOf(c *change.Change, result string) *api.Error {
	e := &api.Error{Code: c.Cause.Code, Message: c.Cause.Message, Hint: c.Cause.Hint, Kind: c.Cause.Kind, Args: c.Cause.Args}
	switch {
	case result == api.ResultRolledBack:
		e.Code = api.CodeRolledBack
	case result == api.ResultRefused && e.Code == 0:
		e.Code = api.CodeRefused
	case e.Code == 0:
		e.Code = api.CodeInternal
	}
	return e
}
