package update

import (
	"context"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
)

// factWaiting holds a Waiting.
const factWaiting = "waiting"

// Waiting is a fetch that has ended politely and is begun again when the line may be used and nothing else is due. Whatever fetch begins next
// takes its place.
type Waiting struct {
	Plan    fetchPlan `json:"plan"`
	Release string    `json:"release,omitempty"`
	Done    int64     `json:"done,omitempty"` // bytes that are here
	Total   int64     `json:"total,omitempty"`
	Why     string    `json:"why"`
	Said    *api.Said `json:"said,omitempty"` // Why for other languages
}

func (m *Manager) waiting() (*Waiting, error) {
	w := new(Waiting)
	found, err := m.Journal.Fact(factWaiting, w)
	if !found {
		w = nil
	}
	return w, err
}

// startFetch begins a fetch, in place of the one that waits. The caller holds m.mu.
func (m *Manager) startFetch(p fetchPlan) (*change.Change, error) {
	return m.runner.Start(KindFetch, p, map[string]any{factWaiting: nil})
}

// startWaiting begins the fetch that waits, when the line may be used. It returns nil when none does.
func (m *Manager) startWaiting() (*change.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := m.unfinished(); err != nil || c != nil {
		return nil, err
	}
	w, err := m.waiting()
	if err != nil || w == nil {
		return nil, err
	}
	h, err := m.holdNow(w.Plan.Now, true)
	if err != nil {
		return nil, err
	}
	if h != nil && (w.Plan.From == "" || !onThisComputer(w.Plan.From)) {
		return nil, nil
	}
	return m.startFetch(w.Plan)
}

// laid is what remains of a fetch that has ended with ClassWaits. What a person has ordered at once is done at once as far as it goes; days later
// it would surprise people.
func (m *Manager) laid(c *change.Change) map[string]any {
	var w Waiting
	var target targetNote
	var note blobsNote
	if c.ReadPlan(&w.Plan) != nil {
		return nil
	}
	if _, err := c.ReadNote(stepPlan, &target); err != nil {
		return nil
	}
	if _, err := c.ReadNote(stepFetch, &note); err != nil {
		return nil
	}
	if c.Cause.Class == change.ClassWaits {
		w.Plan.Now, w.Plan.Person = false, false
	}
	w.Release, w.Done, w.Total, w.Why = target.Release, note.Done, note.Total, c.Cause.Message
	w.Said = saidBy(c.Cause)
	return map[string]any{factWaiting: w}
}

// polite reports whether a change of this class has not failed but made room.
func polite(class change.Class) bool {
	return class == change.ClassReplaced || class == change.ClassWaits || class == change.ClassYields
}

// yields is the cause of a fetch that gives way.
func yields(to string) change.Cause {
	c := change.Cause{Class: change.ClassYields, Message: "it gives way to " + to + " and goes on after it"}
	if kind := yieldsTo[to]; kind != "" {
		return saying(c, api.Say(kind))
	}
	return c
}

// What a fetch gives way to.
const (
	toUpdate = "an update that is due"
	toBackup = "a backup that is due"
	toDrill  = "the trial restore that is due"
	toCopy   = "a copy of the backup"
	toPerson = "what a person asks for"
	toCentre = "what the central team asks for now"
)

var yieldsTo = map[string]string{
	toUpdate: "yields_update", toBackup: "yields_backup", toDrill: "yields_drill", toCopy: "yields_copy",
	toPerson: "yields_person", toCentre: "yields_centre",
}

// onThisComputer reports whether a source or a place is a path.
func onThisComputer(spec string) bool {
	return !strings.Contains(spec, "://") || strings.HasPrefix(spec, "file://")
}

// stopped ends the run of a change for a cause. It is known by its address: the standard library compares the causes of contexts.
type stopped struct{ change.Cause }

func (s *stopped) Error() string { return s.Message }

// watchDue ends a change of the schedule, or a fetch, when something is due that must not wait: an update, and for a fetch a backup or its trial,
// too. Both begin again by themselves. It returns when done is closed.
func (m *Manager) watchDue(done <-chan struct{}, c *change.Change, stop func(change.Cause)) {
	every, patience := lookEvery, time.Duration(0)
	var p fetchPlan
	if c.Kind == KindFetch {
		every = shortLook
		if c.ReadPlan(&p) == nil && p.Person {
			patience = personWaits
		}
	}
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if time.Since(began) < patience {
			continue
		}
		if cause := m.mustYield(c.Kind); cause != nil {
			stop(*cause)
			return
		}
	}
}

// personWaits is for how long a fetch that somebody follows yields to nothing.
const personWaits = 10 * time.Minute

// mustYield is the cause for which a change of a kind ends now, nil while it may go on.
func (m *Manager) mustYield(kind string) *change.Cause {
	cause := replaced
	if p, err := m.dueApply(); err == nil && p != nil {
		if kind == KindFetch {
			cause = yields(toUpdate)
		}
		return &cause
	}
	if kind != KindFetch {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	due, err := m.dueErrand(false)
	if err != nil || due == nil {
		return nil
	}
	cause = yields(map[string]string{KindBackup: toBackup, KindDrill: toDrill, KindExport: toCopy}[due.kind])
	return &cause
}

// peek looks for news while a fetch brings bytes, which may take days. When the central team asks for something else now, the fetch ends and what is
// asked for is planned anew.
func (m *Manager) peek(ctx context.Context, id uint64) error {
	c, err := m.Journal.Change(id)
	if err != nil || c == nil {
		return err
	}
	var p fetchPlan
	var target targetNote
	if err := c.ReadPlan(&p); err != nil {
		return err
	}
	if found, err := c.ReadNote(stepPlan, &target); err != nil || !found || p.From != "" || c.Step(stepFetch).Status != change.StepDoing {
		return err
	}
	_, facts, err := m.ask(ctx, p)
	if err != nil {
		m.Log.Warn("no news while a release is fetched", "error", err)
		return nil
	}
	for name, v := range facts {
		if err := m.Journal.SetFact(name, v); err != nil {
			return err
		}
	}
	current, err := m.Trust.Current()
	if err != nil {
		return nil
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err == nil && as.Hold == nil && as.Pin == target.Release || target.Archive != "" {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == id && m.cancel != nil {
		m.cancel(yields(toCentre))
	}
	return nil
}
