package update

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/health"
	"dhow/manifest/report"
)

// Status says what runs, what is wanted, and what is going on.
func (m *Manager) Status(ctx context.Context) (api.Status, error) {
	config := m.config()
	s := api.Status{Site: m.Config.Site, State: api.StateIdle, Contact: config.Contact, Language: config.Language} // also when the rest can't be told
	good, err := m.good()
	if err != nil {
		return s, err
	}
	var answer error // of the engine
	if good != nil {
		s.Release, s.KnownGood = good.Release, good.Release
		s.Health, answer = m.healthNow(ctx, good.Project)
	} else {
		s.State = api.StateNew
	}
	k := found{Status: &s, now: m.clockOrNone(), mistake: configMistake(m.Paths), missing: m.missingRoom(), far: m.far()}
	if k.now.IsZero() {
		k.says = m.now().Local().Format("2006-01-02 15:04")
	}
	current, err := m.Trust.Current()
	if k.manifest = err; err == nil {
		s.Fleet, s.Manifest, k.expires = current.Fleet.Name, current.Number, current.Expires
		as, err := current.Fleet.Assignment(m.Config.Site)
		if k.assignment = err; err == nil {
			s.Pinned = as.Pin
			if as.Hold != nil {
				s.Hold = as.Hold.Reason
			}
			s.Note = m.noteOf(as.Pin)
		}
	}
	for _, w := range m.trustWarnings() {
		s.Warn(w.parts())
	}
	bad, err := m.bad()
	if err != nil {
		return s, err
	}
	for _, b := range bad {
		if b.Release == s.Pinned && b.Release != s.Release {
			s.Warn(b.text(), b.said())
			s.Bad = &api.Bad{Release: b.Release, When: b.When, ByHand: b.ByHand}
		}
	}
	if w, err := m.hiddenWarning(); err != nil {
		return s, err
	} else if w.text != "" {
		s.Warn(w.parts())
	}
	r, err := m.ready()
	if err != nil {
		return s, err
	}
	if r != nil {
		s.State = api.StateReady
	}
	if err := m.statusOfChanges(&s); err != nil {
		return s, err
	}
	if _, err := m.Journal.Fact(factPoll, &k.poll); err != nil {
		return s, err
	}
	s.LastError = k.poll.Error
	if !k.poll.Last.IsZero() {
		s.LastCheck = &k.poll.Last
	}
	m.mu.Lock()
	k.trouble = m.trouble
	m.mu.Unlock()
	if k.trouble != "" {
		said := api.Say("warn_trouble", "cause", k.trouble)
		if strings.Contains(k.trouble, engine.ErrNotRunning.Error()) {
			said = api.Say("warn_engine", "cause", k.trouble)
		}
		s.Warn("the agent can't go on and tries again: "+k.trouble, said)
	}
	if s.Noted, err = m.noted(); err != nil {
		return s, err
	}
	if err := m.statusOfAgent(&s); err != nil {
		return s, err
	}
	if err := m.statusOfLine(&s); err != nil {
		return s, err
	}
	if err := m.statusOfTime(&s); err != nil {
		return s, err
	}
	if err := m.statusOfBackups(ctx, &k); err != nil {
		return s, err
	}
	k.due = m.backupExpected(&s, good)
	k.gone = m.engineAway(ctx, good != nil, answer)
	s.Needs = k.needs()
	s.Offers = m.offers()
	if s.Key = m.publicKey(); s.Key != "" {
		s.KeyPrint = report.Fingerprint(s.Key)
	}
	return s, nil
}

// statusOfChanges fills in the change at work and the last one that ended.
func (m *Manager) statusOfChanges(s *api.Status) error {
	c, err := m.unfinished()
	if err != nil {
		return err
	}
	if c != nil {
		number, step := c.Current()
		s.Step, s.StepNumber, s.StepCount = step.Name, number, len(c.Steps)
		switch {
		case c.Kind == KindAgent: // nothing that anybody waits for
			s.Step, s.StepNumber, s.StepCount = "", 0, 0
		case c.Kind == KindBundle:
			s.State = api.StateBundle
		case isErrand(c.Kind):
			s.State = api.StateBackup
		case stuck(c):
			s.State, s.Code = api.StateStuck, m.receipt(c)
			s.Warn("going back can't finish: "+step.Trouble, api.Say("warn_stuck", "cause", step.Trouble))
		case c.Status() == change.Undoing:
			s.State, s.Code = api.StateUndoing, m.receipt(c)
		case c.Kind == KindFetch:
			s.State = api.StateFetching
		default:
			s.State = api.StateUpdating
		}
		if s.State != api.StateStuck && step.Trouble != "" {
			s.Warn("tried again: "+step.Trouble, api.Say("warn_again", "cause", step.Trouble))
		}
	}
	list, err := m.History(context.Background())
	if err != nil {
		return err
	}
	for i := range list {
		if !list[i].Finished.IsZero() && list[i].Kind != KindAgent {
			s.LastUpdate = &list[i]
			break
		}
	}
	return nil
}

// stuckAfter is how often in a row the same thing has failed when going back until a person should help. It is tried again all the same.
const stuckAfter = 3

// stuck reports whether a change can't be undone.
func stuck(c *change.Change) bool {
	_, step := c.Current()
	return c.Status() == change.Undoing && step.Failed >= stuckAfter
}

// History lists the updates, newest first.
func (m *Manager) History(context.Context) ([]api.Update, error) {
	list, err := m.Journal.Changes(func(c *change.Change) bool { return c.Kind != KindFetch && !isErrand(c.Kind) })
	if err != nil {
		return nil, err
	}
	updates := make([]api.Update, 0, len(list))
	for _, c := range list {
		u, err := m.updateOf(c)
		if err != nil {
			return nil, err
		}
		updates = append(updates, *u)
	}
	agents, err := m.agentUpdates()
	updates = append(updates, agents...)
	slices.SortStableFunc(updates, func(a, b api.Update) int { return cmp.Compare(b.ID, a.ID) })
	return updates, err
}

// updateOf derives a line of the history from the record of a change.
func (m *Manager) updateOf(c *change.Change) (*api.Update, error) {
	u := &api.Update{ID: c.ID, Receipt: m.receipt(c), Kind: c.Kind, Started: c.Started, Finished: c.Finished}
	if c.Kind == KindAdopt {
		u.To = adoptedRelease
	} else {
		var p applyPlan
		if err := c.ReadPlan(&p); err != nil {
			return nil, err
		}
		u.To, u.BytesFetched, u.Setbacks = p.To.Release, p.Bytes, p.Setbacks
		if p.From != nil {
			u.From = p.From.Release
		}
		away, err := timeAway(c)
		if err != nil {
			return nil, err
		}
		u.DowntimeSeconds = away.Round(10 * time.Millisecond).Seconds()
		var b backupNote
		if found, err := c.ReadNote(stepBackUp, &b); err != nil {
			return nil, err
		} else if found && p.From != nil && c.Status() == change.Done {
			u.Backup = b.Name
		}
	}
	switch {
	case c.Finished.IsZero():
	case c.Cause == nil:
		u.Result = api.ResultDone
	default:
		u.Reason = c.Cause.Message
		u.Result = api.ResultRefused
		if s := c.Step(stepCloseDoors); s != nil && s.Status != change.StepPending {
			u.Result = api.ResultRolledBack
		}
	}
	return u, nil
}

// healthWithin is how long status waits for the engine.
const healthWithin = 5 * time.Second

// healthNow asks the engine how the stack is.
func (m *Manager) healthNow(ctx context.Context, project string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	list, err := m.services(ctx, project, nil)
	if err != nil {
		return "unknown", err
	}
	return healthOf(list), nil
}

// healthOf sums up the services of the stack.
func healthOf(list []health.Service) string {
	if len(list) == 0 {
		return "stopped"
	}
	for _, s := range list {
		if s.State == "running" && s.Health == "starting" {
			return "starting"
		}
		if s.Ill() {
			return "unhealthy"
		}
	}
	return "healthy"
}
