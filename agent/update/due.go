package update

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// startDue begins the apply of a release that is ready when its hour has come. It returns nil when nothing is due.
func (m *Manager) startDue() (*change.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := m.unfinished(); err != nil || c != nil {
		return nil, err // somebody has asked for something else: that comes first
	}
	if p := m.dueFetch(); p != nil {
		return m.startFetch(*p)
	}
	p, err := m.dueApply()
	if err != nil || p == nil {
		return nil, err
	}
	kind := KindApply
	if p.Archive != "" {
		kind = KindRestore
	}
	return m.runner.Start(kind, *p, nil)
}

// dueApply is the apply of the release that is ready when its hour has come, else nil.
func (m *Manager) dueApply() (*applyPlan, error) {
	r, err := m.ready()
	if err != nil || r == nil {
		return nil, err
	}
	open := r.Archive != "" || m.windowOpen() // on a new computer nobody works yet
	if !r.Now && (m.rests(r) || !open) {
		return nil, nil
	}
	if later, err := m.later(); err != nil || later != nil && !r.Now && r.Archive == "" {
		return nil, err
	}
	current, err := m.Trust.Current()
	if errors.Is(err, trust.ErrNothing) {
		return nil, nil // it was lost; the next one says what is wanted
	}
	if err != nil {
		return nil, err
	}
	good, err := m.good()
	if err != nil {
		return nil, err
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	asked := err == nil && as.Hold == nil && as.Pin == r.Release || r.Archive != ""
	if asked && good != nil && good.Dir == "" && manifest.CompareVersions(r.Release, good.Release) < 0 {
		asked = as.Downgrade // may have been taken away since the plan was made
	}
	if !asked || (good != nil && good.Release == r.Release) {
		return nil, m.Journal.SetFact(factReady, nil) // the manifest has changed its mind
	}
	release, _, err := m.Trust.Release(context.Background(), nil, r.Release)
	if err != nil {
		return nil, err
	}
	to := m.goodFor(release, r.Digest, r.Manifest)
	if good != nil {
		to.Project = good.Project // the volumes are named after it
	}
	return &applyPlan{From: good, To: to, Fetch: r.Fetch, Bytes: r.Bytes, Setbacks: r.Setbacks, Archive: r.Archive}, nil
}

// rests reports whether a release waits because it was refused a while ago. A pause that lies far ahead was set by a clock that was wrong.
func (m *Manager) rests(r *Ready) bool {
	now := m.now()
	return now.Before(r.NotBefore) && r.NotBefore.Sub(now) <= pauseAfterDowntime && !m.roomAgain()
}

// window is the hours in which the facility allows downtime: the site's own, else the manifest's, else any.
func (m *Manager) window() site.Window {
	c := m.config()
	w, err := site.ParseWindow(c.Window, c.TimeZone)
	if err != nil {
		m.Log.Warn("the window can't be read, so any hour counts", "error", err)
		return site.Window{}
	}
	return w
}

// Check is what the schedule calls: it looks for something new. During an update it does nothing, and during an errand it waits for the end: a
// backup that takes longer than the time between two looks must not begin anew each time. Copies that cross a line give way, and a fetch goes on
// while the sources are asked.
func (m *Manager) Check(ctx context.Context) error {
	fetching, err := m.check()
	if err != nil || fetching == 0 {
		return err
	}
	return m.peek(ctx, fetching)
}

// check begins a fetch, or returns the one that is at work.
func (m *Manager) check() (fetching uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.unfinished()
	switch {
	case err != nil:
		return 0, err
	case m.leaving || m.Trial:
		return 0, nil
	case c != nil && c.Kind == KindFetch && m.running == c.ID:
		return c.ID, nil
	case c != nil && c.Kind == KindAgent: // over a thin line it may take days
		if err := m.free(order{}); err != nil {
			return 0, err
		}
	case c != nil && isErrand(c.Kind):
		var e errandPlan
		if err := c.ReadPlan(&e); err != nil {
			return 0, err
		}
		if c.Kind != KindExport || e.Person || onThisComputer(e.Place) {
			return 0, m.askLater()
		}
		if err := m.free(order{}); err != nil { // a copy over a thin line may take days
			return 0, err
		}
	case c != nil || m.running != 0:
		return 0, nil
	}
	var p fetchPlan
	if w, err := m.waiting(); err != nil {
		return 0, err
	} else if w != nil {
		p = w.Plan
	}
	if _, err := m.startFetch(m.fetchFor(p)); err != nil {
		return 0, err
	}
	m.poke()
	return 0, nil
}

// askLater lets a fetch begin when the change at work has ended. The caller holds m.mu.
func (m *Manager) askLater() error {
	w, err := m.waiting()
	if err != nil || w != nil {
		return err
	}
	return m.Journal.SetFact(factWaiting, Waiting{Why: "it waits for the end of what is under way"})
}

// Update begins an update that a person asked for. A fetch that the schedule began gives way.
func (m *Manager) Update(_ context.Context, req api.UpdateRequest) (api.Started, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(order{update: &req}); err != nil {
		return api.Started{}, err
	}
	if req.Retry && m.Self != nil {
		if err := m.Self.Forgive(); err != nil {
			return api.Started{}, err
		}
		m.agentLast, m.handNext, m.retryTrial = "", time.Time{}, true
	}
	p := m.fetchFor(fetchPlan{From: req.From, Now: req.Now, Person: true, Retry: req.Retry, Release: req.Release})
	if req.Now {
		if err := m.endLater(); err != nil { // a person has changed his mind
			return api.Started{}, err
		}
	}
	c, err := m.startFetch(p)
	if err != nil {
		return api.Started{}, err
	}
	m.poke()
	return api.Started{Change: c.ID}, nil
}

// replaced is why a change of the schedule ends when a person asks for an update.
var replaced = change.Cause{Class: change.ClassReplaced, Message: "a person asked for something else"}

// order is what a person wants to begin; the zero order is not an update.
type order struct{ update *api.UpdateRequest }

// free fails when a change is under way that does not give way. The caller holds m.mu.
func (m *Manager) free(o order) error {
	if m.leaving || m.Trial {
		return ErrTrial
	}
	c, err := m.unfinished()
	if err != nil {
		return err
	}
	if c == nil && m.running == 0 {
		return nil
	}
	if c != nil {
		way, err := givesWay(c, o.update == nil || o.update.From != "")
		if err == nil && !way && c.Kind == KindFetch && o.update.Now {
			var p fetchPlan
			err = c.ReadPlan(&p)
			way = !p.Now // the same person wants more
		}
		if err != nil {
			return err
		}
		cause := replaced
		if c.Kind == KindFetch && o.update == nil {
			cause = yields(toPerson)
		}
		if way && c.Cause != nil {
			return nil // it is on its way back and soon at its end
		}
		if way && m.running == c.ID {
			m.cancel(cause)
			return nil
		}
		if way {
			return m.runner.Abandon(c, cause)
		}
	}
	what := "a change"
	if c != nil {
		what = fmt.Sprintf("%s %d", c.Kind, c.ID)
	}
	return api.Fail(api.CodeBusy, "follow it with: dhow status", "another change is under way: %s", what).In("busy", "change", what)
}

func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
