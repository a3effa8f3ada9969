package update

import (
	"context"
	"slices"

	"dhow/agent/change"
)

// keepPast is how many earlier releases stay ready to go back to, with their data, when the manifest doesn't say; keepTaken how many backups
// of data that a rollback took out of the running system.
const (
	keepPast  = 2
	keepTaken = 5
)

// commitRelease records the new release as known-good, in the transaction that ends this step. From here on users' work belongs to it.
func (m *Manager) commitRelease(_ context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	to := p.To
	to.Since = m.stamp()
	if err := t.Set(factGood, to); err != nil {
		return err
	}
	past, err := m.past()
	if err != nil {
		return err
	}
	if p.From != nil {
		var b backupNote
		if _, err := t.Change.ReadNote(stepBackUp, &b); err != nil {
			return err
		}
		past = append([]Past{{Good: *p.From, Backup: b.Name, Left: m.stamp(), TakenBack: p.takesBack()}}, past...)
	}
	if err := t.Set(factPast, past); err != nil {
		return err
	}
	bad, err := m.bad()
	if err != nil {
		return err
	}
	bad = slices.DeleteFunc(bad, func(b Bad) bool { return b.Digest == to.Digest })
	if p.ByHand {
		bad = m.leftByHand(bad, to)
	}
	if err := t.Set(factBad, bad); err != nil {
		return err
	}
	var poll Poll
	if _, err := m.Journal.Fact(factPoll, &poll); err != nil {
		return err
	}
	poll.Error = "" // it spoke of the way here
	if err := t.Set(factPoll, poll); err != nil {
		return err
	}
	return t.Set(factReady, nil)
}

// leftByHand adds the release that the manifest asks for to those that are not taken by themselves, when a person has chosen another one.
func (m *Manager) leftByHand(bad []Bad, to Good) []Bad {
	current, err := m.Trust.Current()
	if err != nil {
		return bad
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil || as.Pin == "" || as.Pin == to.Release {
		return bad
	}
	_, d, err := m.Trust.CachedRelease(as.Pin)
	if err != nil || findBad(bad, d) != nil {
		return bad
	}
	return append(bad, Bad{Release: as.Pin, Digest: d, Reason: "a person chose " + to.Release, When: m.stamp(), ByHand: true})
}

// openDoors publishes the ports of the new release. It is past the commit: it is repeated until it works.
func (m *Manager) openDoors(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var shut closeNote
	if _, err := t.Change.ReadNote(stepCloseDoors, &shut); err != nil {
		return err
	}
	var done openNote
	if found, err := t.Note(&done); err != nil || found {
		return err
	}
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, to.images); err != nil {
		return err
	}
	if err := m.letIn(ctx, t.Change, to.project, shut); err != nil {
		return err
	}
	if err := t.Fault("open"); err != nil {
		return err
	}
	m.awaitOpen(ctx, to)
	return t.Save(openNote{Opened: m.stamp(), Away: m.awayFor(t.Change, shut.Closed)})
}

// applyEnded says what follows from an apply that was undone: a release that was started and is itself the reason is not tried again by itself,
// anything else, a generator that fails five times among it, is tried again after a while.
func (m *Manager) applyEnded(c *change.Change) map[string]any {
	m.acquit(c)
	var p applyPlan
	if err := c.ReadPlan(&p); err != nil || c.Kind != KindApply && (c.Kind != KindRestore || p.From != nil) {
		return nil
	}
	facts := map[string]any{}
	if r, err := m.ready(); err == nil && r != nil {
		r.Now, r.NotBefore = false, m.now().Add(pauseAfterRefusal)
		if downtime(c) && p.From != nil {
			r.NotBefore = m.now().Add(pauseAfterDowntime)
		}
		facts[factReady] = r
	}
	if c.Cause.Class == change.ClassTrust {
		facts[factReady] = nil // what is in the store has rotted: fetch it again
	}
	started := c.Step(stepStartRelease).Status != change.StepPending
	if started && c.Cause.Class == change.ClassRelease {
		bad, err := m.bad()
		if err != nil {
			return facts
		}
		bad = slices.DeleteFunc(bad, func(b Bad) bool { return b.Digest == p.To.Digest })
		facts[factBad] = append(bad, Bad{Release: p.To.Release, Digest: p.To.Digest, Reason: c.Cause.Message, When: m.stamp()})
		facts[factReady] = nil
	}
	return facts
}
