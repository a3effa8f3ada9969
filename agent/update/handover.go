package update

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/self"
	"dhow/bundle"
	"dhow/bundle/fetch"
)

// handOver reports whether Run is to end so that the program that is prepared is tried: nothing is under way, and nothing begins any more.
func (m *Manager) handOver(ctx context.Context) (bool, error) {
	have, err := m.candidate()
	if err != nil || m.Self == nil || !m.mayHandOver() {
		return false, err
	}
	s := m.selfState()
	if s.Trial != nil { // the start could not carry it out, see waitWithTrial
		if !s.Trial.Proven && !m.tryAgain() {
			return false, nil
		}
		return m.leave(swapPause)
	}
	if have == nil {
		return false, nil
	}
	if m.wantedAgent().take != have.Version {
		return false, m.Journal.SetFact(factCandidate, nil) // the manifest has changed its mind
	}
	expect, sure, err := m.expect(ctx)
	if err != nil {
		return false, err
	}
	if s.Unproven != nil && s.Unproven.Program == have.Program && (!sure || time.Since(m.begun) < unsureAfter) {
		return false, nil
	}
	if left, err := m.leave(0); err != nil || !left {
		return false, err
	}
	err = m.Self.Begin(have.Program, have.Change, expect)
	if errors.Is(err, self.ErrReplaced) { // it is executed, and says itself what it wants
		m.Log.Warn("another program was put in the place of the agent: it takes over", "version", m.Self.Version())
		return true, nil
	}
	if err != nil {
		m.stay()
		return false, err
	}
	m.Log.Info("the agent hands over to the new program for its trial", "from", m.Self.Version(), "to", have.Version)
	return true, nil
}

// waitWithTrial keeps a process that was started with a trial pending, and could not carry it out, from executing itself for it again at once: what was
// in the way (a folder that can't be written, a full disk) mostly still is, and the site has no agent meanwhile. One that has proven itself
// is put in place by the next try, others begin only at a start or when a person says --retry.
func (m *Manager) waitWithTrial() {
	if m.Self != nil && m.selfState().Trial != nil {
		m.handNext = m.begun.Add(swapPause)
	}
}

// selfState is the state of the program. One that can't be read says nothing, as for package self, and is said once.
func (m *Manager) selfState() self.State {
	s, err := m.Self.State()
	if err != nil {
		m.badState.Do(func() { m.Log.Warn("nothing is known of trials of the agent", "error", err) })
	}
	return s
}

func (m *Manager) tryAgain() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.retryTrial
}

func (m *Manager) mayHandOver() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.handNext)
}

// leave keeps changes from beginning, and reports whether none is under way.
func (m *Manager) leave(pause time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.unfinished()
	if err != nil {
		return false, err
	}
	m.handNext = time.Now().Add(pause)
	m.leaving = c == nil && m.running == 0
	return m.leaving, nil
}

func (m *Manager) stay() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaving = false
}

// ErrTrial is the answer to orders while another program of the agent is tried.
var ErrTrial = api.Fail(api.CodeBusy, "try again in a few minutes: dhow status", "the agent is trying a new version of itself").In("agent-trial")

// expect is what works for this program. Sure says that a source has answered just now.
func (m *Manager) expect(ctx context.Context) (e self.Expect, sure bool, err error) {
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, away := m.Engine.Info(limit)
	e.Engine = away == nil
	var poll Poll
	if _, err := m.Journal.Fact(factPoll, &poll); err != nil {
		return e, false, err
	}
	since := m.stamp().Sub(poll.Last)
	ok := poll.Error == "" && since >= 0 && !m.down.Load() && len(m.config().Sources) > 0
	e.Poll = ok && since < lately
	return e, ok && since < freshPoll, nil
}

// Try is what a program on trial does in place of Run and Check: it looks whether everything that is expected works, and changes nothing. Reached
// is set once a source has answered.
func (m *Manager) Try(ctx context.Context, e self.Expect, reached *bool) error {
	if _, err := m.unfinished(); err != nil {
		return err
	}
	if _, err := m.Trust.Current(); err != nil {
		return fmt.Errorf("cannot read what this site trusts: %w", err)
	}
	if e.Engine {
		_, err := m.Engine.Info(ctx)
		if errors.Is(err, engine.ErrNotRunning) {
			return fmt.Errorf("%w: %v", self.ErrNoEngine, err)
		}
		if err != nil {
			return err
		}
	}
	if !e.Poll || *reached {
		return nil
	}
	sources, err := m.Network.OpenAll(ctx, m.config().Sources)
	defer closeAll(sources)
	for _, src := range fetch.FarFirst(sources) {
		if _, err = m.Trust.Scratch().Refresh(ctx, src, fetch.Reach(src) == fetch.Local); err == nil {
			*reached = true
			return nil
		}
		err = fmt.Errorf("%s: %w", src.Name(), err)
	}
	if err == nil || errors.Is(err, bundle.ErrUnreachable) {
		return fmt.Errorf("%w: %v", self.ErrNoSource, err)
	}
	return err
}

// tellTrial remembers how the last trial ended.
func (m *Manager) tellTrial(context.Context) error {
	if m.Self == nil {
		return nil
	}
	s := m.selfState()
	if s.Last == nil {
		return nil
	}
	list, err := m.trials()
	if err != nil || slices.ContainsFunc(list, func(o self.Outcome) bool {
		return o.Change == s.Last.Change && o.Ended.Equal(s.Last.Ended) && o.Result == s.Last.Result
	}) {
		return err
	}
	log := m.Log.Info
	if s.Last.Result != self.Done {
		log = m.Log.Warn
	}
	log("the trial of another agent has ended", "from", s.Last.From, "to", s.Last.To, "result", s.Last.Result, "reason", s.Last.Reason)
	if s.Last.Result != self.Undecided {
		if err := m.Journal.SetFact(factCandidate, nil); err != nil {
			return err
		}
	}
	return m.keepTrial(*s.Last)
}

func (m *Manager) trials() (list []self.Outcome, err error) {
	_, err = m.Journal.Fact(factTrials, &list)
	return list, err
}

func (m *Manager) keepTrial(o self.Outcome) error {
	list, err := m.trials()
	if err != nil {
		return err
	}
	list = append(list, o)
	return m.Journal.SetFact(factTrials, list[max(0, len(list)-maxTrials):])
}

// agentUpdates are the lines of the history about the agent, the newest first: one that was done and then taken back has two of the same change.
func (m *Manager) agentUpdates() (list []api.Update, err error) {
	trials, err := m.trials()
	for _, o := range slices.Backward(trials) {
		result := o.Result
		switch result {
		case self.Undecided:
			continue
		case self.TakenBack:
			result = api.ResultRolledBack
		case self.Replaced:
			result = api.ResultRefused
		}
		list = append(list, api.Update{
			ID: o.Change, Receipt: api.Receipt(m.Config.Site, o.Change, result == api.ResultDone), Kind: KindAgent, From: o.From, To: o.To,
			Result: result, Reason: o.Reason, Started: o.Begun, Finished: o.Ended,
		})
	}
	return list, err
}

// statusOfAgent fills in the agent's own version and what is wanted of it.
func (m *Manager) statusOfAgent(s *api.Status) error {
	if m.Self == nil {
		return nil
	}
	w := m.wantedAgent()
	a := &api.Agent{Version: m.Self.Version(), Wanted: w.take, Trial: m.Trial, Asked: w.asked, Trouble: w.why, Kind: w.kind}
	if w.why != "" {
		s.Warn(w.why, w.said)
	}
	if a.Wanted != "" {
		have, err := m.candidate()
		if err != nil {
			return err
		}
		a.Ready = have != nil && have.Version == a.Wanted
	}
	s.Agent = a
	return nil
}
