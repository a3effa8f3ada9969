package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/self"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/ladder"
	"dhow/manifest"
	"dhow/manifest/program"
)

// How the agent's own program is replaced: when the manifest names another version, and nothing else is at work, a change of the kind agent
// fetches it as a layer is fetched, and prepares it (package self). When that is done and nothing is under way the trial begins: Run ends with
// ErrHandOver, and the process executes its program anew. How it ended is told from self's state at the next start. A stick that a person brings gives
// its program in the fetch that she orders, see takeAgent.

// ErrHandOver ends Run: the program is to be executed anew, and tries the candidate.
var ErrHandOver = errors.New("the agent hands over to another program")

// agentPlan is what a change of the kind agent is about.
type agentPlan struct {
	From    string `json:"from"` // version
	Version string `json:"version"`
}

// candidate is the fact of a program that is prepared.
type candidate struct {
	self.Program
	Change uint64 `json:"change"`
}

const (
	factCandidate = "agent"        // a candidate
	factTrials    = "agent-trials" // how trials ended, the newest last
	maxTrials     = 20

	stepFetchAgent = "fetch-agent"

	agentPause  = 30 * time.Minute // after a program could not be fetched
	swapPause   = 6 * time.Hour    // after it could not be put in place
	unsureAfter = time.Hour        // a program that reached no source is tried again
	freshPoll   = 5 * time.Minute  // when a source has just answered
	lately      = 24 * time.Hour
)

// wish is what the manifest asks for of the agent.
type wish struct {
	asked string    // another version than the one that runs; empty for none
	take  string    // the same, when it is to be taken
	why   string    // it is not, in words
	kind  string    // of why: see api.Agent
	said  *api.Said // why for other languages
}

// Kinds of why another version of the agent is not taken.
const (
	agentOlder  = "older"
	agentFailed = "failed"
	agentWaits  = "waits"
)

// wantedAgent says which version the manifest asks for, and whether it is to be taken: none that is older without permission, and none that has not worked
// here.
func (m *Manager) wantedAgent() wish {
	if m.Self == nil {
		return wish{}
	}
	current, err := m.Trust.Current()
	if err != nil {
		return wish{}
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil || as.Agent == "" || as.Agent == m.Self.Version() || as.Hold != nil {
		return wish{}
	}
	if manifest.CompareVersions(as.Agent, m.Self.Version()) < 0 && !as.AgentDowngrade {
		why := fmt.Sprintf("the manifest asks for the older agent %s, and does not say that this site may go back to it", as.Agent)
		return wish{asked: as.Agent, why: why, kind: agentOlder, said: api.Say("warn_agent_older", "version", as.Agent)}
	}
	if err := m.Self.Stuck(); err != nil {
		why := fmt.Sprintf("the trial of another agent can't go on, and waits for the next start of the agent: %v", err)
		return wish{asked: as.Agent, why: why, kind: agentWaits}
	}
	s := m.selfState()
	if s.Failed != nil && s.Failed.Version == as.Agent && m.sameAgent(as.Agent, s.Failed.Digest) {
		why := fmt.Sprintf("agent %s did not work here on %s and is not tried again: %s",
			as.Agent, s.Failed.When.Local().Format("2 Jan 15:04"), s.Failed.Reason)
		said := api.Say("warn_agent_bad", "version", as.Agent, "moment", plainDate(s.Failed.When), "cause", s.Failed.Reason)
		return wish{asked: as.Agent, why: why, kind: agentFailed, said: said}
	}
	return wish{asked: as.Agent, take: as.Agent}
}

// sameAgent reports whether the program of a version for this computer is the one with that digest, as far as its document is here.
func (m *Manager) sameAgent(version string, d digest.Digest) bool {
	doc, err := m.Trust.Agent(context.Background(), nil, version)
	if err != nil {
		return true
	}
	p, err := doc.For(program.Here())
	return err != nil || p.Digest == d
}

// startAgent begins to fetch another program when one is wanted. It returns nil when there is nothing to do.
func (m *Manager) startAgent() (*change.Change, error) {
	version := m.wantedAgent().take
	if version == "" {
		return nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := m.unfinished(); err != nil || c != nil || version == m.agentLast && time.Now().Before(m.agentNext) {
		return nil, err
	}
	if have, err := m.candidate(); err != nil || have != nil && have.Version == version {
		return nil, err // handOver sees to it
	}
	if !m.agentHere(version) {
		if h, err := m.holdNow(false, true); err != nil || h != nil || m.down.Load() {
			return nil, err
		}
	}
	return m.runner.Start(KindAgent, agentPlan{From: m.Self.Version(), Version: version}, nil)
}

// pauseAgent keeps a change that has failed from coming every minute.
func (m *Manager) pauseAgent(c *change.Change) error {
	var p agentPlan
	if err := c.ReadPlan(&p); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agentLast, m.agentNext = p.Version, time.Now().Add(agentPause)
	if polite(c.Cause.Class) {
		m.agentNext = time.Now().Add(shortLook)
	}
	return nil
}

func (m *Manager) candidate() (*candidate, error) {
	c := new(candidate)
	found, err := m.Journal.Fact(factCandidate, c)
	if !found {
		c = nil
	}
	return c, err
}

// agentHere reports whether the store has the program of a version.
func (m *Manager) agentHere(version string) bool {
	doc, err := m.Trust.Agent(context.Background(), nil, version)
	if err != nil {
		return false
	}
	p, err := doc.For(program.Here())
	return err == nil && m.Store.HasLayer(p.Layer())
}

// fetchAgent brings the program that is wanted into the store.
func (m *Manager) fetchAgent(ctx context.Context, t *change.Task) error {
	var p agentPlan
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	if err := m.Self.Writable(); err != nil {
		return refuse("may the service write there? see: systemctl cat dhow", "%w", err).In("agent_unwritable", "cause", err.Error())
	}
	sources, err := m.sources(ctx, fetchPlan{})
	if err != nil && !m.agentHere(p.Version) {
		return err
	}
	defer closeAll(sources)
	var note blobsNote
	if _, err := t.Note(&note); err != nil {
		return err
	}
	moved, err := m.bringAgent(ctx, t, fetchPlan{}, p.Version, sources, &note)
	note.Moved += moved
	if serr := t.Save(note); serr != nil {
		return serr
	}
	if held := (*hold)(nil); errors.As(err, &held) {
		return held.failure()
	}
	return untrusted(err)
}

// bringAgent fetches the document and the program of a version: by a delta from the program that runs, where there is one.
func (m *Manager) bringAgent(
	ctx context.Context, t *change.Task, p fetchPlan, version string, sources []bundle.Source, note *blobsNote,
) (bytes int64, err error) {
	doc, err := m.Trust.Agent(ctx, nil, version)
	for _, src := range forDocuments(p, sources) {
		if err == nil {
			break
		}
		doc, err = m.Trust.Agent(ctx, src, version)
	}
	if err != nil {
		return 0, err
	}
	here, err := doc.For(program.Here())
	if err != nil {
		return 0, refuse("ask the central team for an agent for this computer", "%w", err).In("agent_platform", "cause", err.Error())
	}
	if m.Store.HasLayer(here.Layer()) {
		return 0, nil
	}
	q, err := m.agentQuery(ctx, doc, here)
	if err != nil {
		return 0, err
	}
	plan := ladder.Make(q)
	note.Total, note.Done = plan.Bytes, 0
	moved, err := m.transfer(t, p, "agent "+version, note.honest(sources), plan.Bytes, note, func(near []bundle.Source, o fetch.Options) (fetch.Moved, error) {
		return ladder.Run(ctx, ladder.Job{
			Query: q, Sources: near, Options: o, Measure: m.room,
			Setback: func(b ladder.Setback) {
				text := b.Text("agent " + version)
				m.Log.Warn("one rung down", "what", text)
				note.told(text)
				if err := m.refuseWay(b, version, text); err != nil {
					m.Log.Warn("a setback can't be remembered", "error", err)
				}
			},
		})
	})
	for _, wrong := range moved.Wrong {
		m.Log.Warn("a source sent something else than it was asked for", "error", wrong)
	}
	if len(q.Known) > 0 {
		err = errors.Join(err, m.Store.Remove(q.Known[0].Images[0].Config.Digest))
	}
	m.Log.Info("agent fetched", "version", version, "bytes", moved.Bytes, "error", err)
	return moved.Bytes, err
}

// agentQuery asks for a program as for a layer. The program that runs is put into the store for as long as a delta begins with it.
func (m *Manager) agentQuery(ctx context.Context, doc *manifest.Agent, here manifest.AgentProgram) (q ladder.Query, err error) {
	q = ladder.Query{
		Store: m.Store, Layers: []manifest.Layer{here.Layer()}, Ways: here.Ways(doc.Version, doc.Fleet),
		Refused: map[digest.Digest]bool{}, Room: m.room(),
	}
	refused, err := m.refusedWays()
	if err != nil {
		return q, err
	}
	for _, w := range refused {
		q.Refused[w.Blob] = true
	}
	if len(here.Deltas) == 0 {
		return q, nil
	}
	running, err := m.Self.Running()
	if err != nil {
		return q, nil //nolint:nilerr // then it is fetched whole
	}
	for _, d := range here.Deltas {
		if d.Base != running.Digest {
			continue
		}
		r, err := m.Self.Open()
		if err != nil {
			return q, nil //nolint:nilerr // likewise
		}
		defer r.Close()
		b, err := m.Store.Import(ctx, r, manifest.MaxProgram)
		if err != nil {
			return q, err
		}
		q.Known = []ladder.Release{{Version: d.From, Images: []manifest.PlatformImage{{
			Platform: here.Platform, Config: b, Layers: []manifest.Layer{{Blob: b, DiffID: b.Digest, DiffSize: b.Size}},
		}}}}
		return q, nil
	}
	return q, nil
}

// prepareAgent writes the program beside the one that runs, and looks at it.
func (m *Manager) prepareAgent(ctx context.Context, t *change.Task) error {
	var p agentPlan
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	doc, err := m.Trust.Agent(ctx, nil, p.Version)
	if err != nil {
		return untrusted(err)
	}
	here, err := doc.For(program.Here())
	if err != nil {
		return err
	}
	r, err := m.Store.OpenLayer(here.Layer())
	if err != nil {
		return err
	}
	defer r.Close()
	want := self.Program{Version: p.Version, Digest: here.Digest}
	err = m.Self.Prepare(ctx, want, r)
	if errors.Is(err, self.ErrUnfit) {
		if uerr := m.Self.Unfit(want, err.Error()); uerr != nil {
			return uerr
		}
		now := m.stamp()
		if terr := m.keepTrial(self.Outcome{
			Change: t.Change.ID, From: p.From, To: p.Version, Result: api.ResultRefused, Reason: err.Error(), Begun: t.Change.Started, Ended: now,
		}); terr != nil {
			return terr
		}
		return refuse("tell the central team", "%w", err).In("agent_unfit", "cause", err.Error())
	}
	if err != nil {
		return err
	}
	return t.Set(factCandidate, candidate{Program: want, Change: t.Change.ID})
}

// takeAgent takes the agent from what a person has brought, beside the release, while it is there. Nothing that goes wrong with it stands in the
// way of the release.
func (m *Manager) takeAgent(ctx context.Context, t *change.Task, p fetchPlan) {
	version := m.wantedAgent().take
	if version == "" || p.From == "" || m.agentHere(version) {
		return
	}
	src, err := m.Network.Open(ctx, p.From)
	if err == nil {
		defer src.Close()
		_, err = m.bringAgent(ctx, t, p, version, []bundle.Source{src}, &blobsNote{})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Log.Warn("the agent can't be had from there", "version", version, "from", p.From, "error", err)
	}
}

// keepAgent adds what a fetch of the agent that is not at its end needs.
func (m *Manager) keepAgent(keep map[digest.Digest]bool) {
	version := m.wantedAgent().take
	if version == "" {
		return
	}
	doc, err := m.Trust.Agent(context.Background(), nil, version)
	if err != nil {
		return
	}
	if here, err := doc.For(program.Here()); err == nil {
		keep[here.Digest], keep[here.Full.Digest] = true, true
		for _, d := range here.Deltas {
			keep[d.Digest] = true
		}
	}
}
