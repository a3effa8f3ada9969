package update

import (
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/notice"
	"dhow/agent/self"
	"dhow/agent/site"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
)

// TestWantedAgent: which agent is taken, of what the manifest asks for.
func TestWantedAgent(t *testing.T) {
	t.Parallel()
	failed := self.Program{Version: "1.4.0", Digest: digest.FromString("does not work")}
	hold := &manifest.Hold{Reason: "the server room is painted"}
	for name, c := range map[string]struct {
		runs, fleet, ring string
		downgrade         bool
		hold              *manifest.Hold
		failed            *self.Program
		take, kind        string
	}{
		"none is pinned":        {runs: "1.3.0"},
		"the same":              {runs: "1.3.0", fleet: "1.3.0"},
		"a newer one":           {runs: "1.3.0", fleet: "1.4.0", take: "1.4.0"},
		"the ring's":            {runs: "1.3.0", fleet: "1.3.0", ring: "1.4.0", take: "1.4.0"},
		"an older one":          {runs: "1.4.0", fleet: "1.3.0", kind: agentOlder},
		"a candidate for it":    {runs: "1.4.0", fleet: "1.4.0-rc.1", kind: agentOlder},
		"an older one, allowed": {runs: "1.4.0", fleet: "1.3.0", downgrade: true, take: "1.3.0"},
		"held":                  {runs: "1.3.0", fleet: "1.4.0", hold: hold},
		"held, an older one":    {runs: "1.4.0", fleet: "1.3.0", hold: hold},
		"failed":                {runs: "1.3.0", fleet: "1.4.0", failed: &failed, kind: agentFailed},
		"another one failed":    {runs: "1.3.0", fleet: "1.5.0", failed: &failed, take: "1.5.0"},
		"failed, an older one":  {runs: "1.5.0", fleet: "1.4.0", downgrade: true, failed: &failed, kind: agentFailed},
	} {
		m := settled(t, nil)
		m.Self = self.New(self.Options{Program: t.TempDir() + "/dhow", Folder: m.Paths.Agent(), Version: c.runs})
		f := manifesttest.New(t, "emr")
		f.Assign("", "pilot", "")
		err := f.Fleet().SetSite("kin-001", manifest.Site{Ring: "pilot", Hold: c.hold})
		for _, v := range []string{"1.3.0", "1.4.0-rc.1", "1.4.0", "1.5.0"} {
			p := manifest.AgentProgram{Platform: "linux/amd64", Digest: digest.FromString(v), Size: 1, Full: manifest.Blob{Digest: digest.FromString(v), Size: 1}}
			a := &manifest.Agent{Format: manifest.AgentFormat, Fleet: "emr", Version: v, Platforms: []manifest.AgentProgram{p}}
			err = errors.Join(err, f.SaveAgent(a))
		}
		if c.fleet != "" {
			err = errors.Join(err, f.Fleet().PinAgent("", c.fleet, c.downgrade))
		}
		if c.ring != "" {
			err = errors.Join(err, f.Fleet().PinAgent("pilot", c.ring, false))
		}
		if c.failed != nil {
			err = errors.Join(err, m.Self.Unfit(*c.failed, "it ended by itself"))
		}
		if err := errors.Join(err, f.SaveFleet()); err != nil {
			t.Fatal(err)
		}
		m.told(t, f)
		w := m.wantedAgent()
		if w.take != c.take || w.kind != c.kind || (w.why == "") != (c.kind == "") || c.hold != nil && w.asked != "" {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// TestAgentsInARow: two good ones, each by a delta from the one before; one that crashes, which is tried again only when a person says so; one after it.
func TestAgentsInARow(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	c.agent(t, "1.0.0", "good")
	s := newAgentSite(t, c, c.line(), "1.0.0", nil)
	for _, v := range []string{"1.1.0", "1.2.0"} {
		a := c.agent(t, v, "good", s.Self.Version())
		c.pinAgent(t, v, false)
		sent := c.sent.Load()
		s.news(v)
		if o := s.hands(v); o.Result != self.Done || s.Self.Version() != v {
			t.Fatalf("%s: %+v", v, o)
		}
		if n, p := c.sent.Load()-sent, a.Platforms[0]; n != p.Deltas[0].Size || n >= p.Full.Size {
			t.Errorf("%s: %d bytes came; the delta has %d, the whole %d", v, n, p.Deltas[0].Size, p.Full.Size)
		}
		s.is(api.Agent{Version: v})
		s.calm("after " + v)
	}
	c.agent(t, "1.3.0", "crash")
	c.pinAgent(t, "1.3.0", false)
	s.news("1.3.0")
	trouble := api.Agent{Version: "1.2.0", Asked: "1.3.0", Kind: agentFailed, Trouble: "agent 1.3.0 did not work here on "}
	for _, again := range []bool{false, true} {
		if again {
			s.order(api.UpdateRequest{Retry: true})
		}
		if o := s.hands("1.3.0"); o.Result != self.RolledBack || o.Reason != "it ended: exit status 2: panic: no such table" || s.Self.Version() != "1.2.0" {
			t.Fatalf("again %v: %+v", again, o)
		}
		s.is(trouble)
		s.calm("it has failed")
		s.runs("1.2.0")
		s.calm("it has failed, after a restart")
		s.is(trouble)
	}
	c.agent(t, "1.4.0", "good")
	c.pinAgent(t, "1.4.0", false)
	s.news("1.4.0")
	if o := s.hands("1.4.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
	s.is(api.Agent{Version: "1.4.0"})
	s.blameless()
	list, err := s.History(t.Context())
	var lines []string
	for _, u := range list {
		lines = append(lines, u.From+"→"+u.To+" "+u.Result)
	}
	want := []string{"1.2.0→1.4.0 done", "1.2.0→1.3.0 rolled back", "1.2.0→1.3.0 rolled back", "1.1.0→1.2.0 done", "1.0.0→1.1.0 done"}
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("the history has %q, %v", lines, err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.LastUpdate != nil {
		t.Errorf("the agent's changes count as updates of the stack: %+v %v", st.LastUpdate, err)
	}
}

// TestAgentTakenBack: one that was put in place and then crashes again and again goes for the one before; people are told, and it is not taken again.
func TestAgentTakenBack(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	c.agent(t, "1.0.0", "good")
	s := newAgentSite(t, c, c.line(), "1.0.0", nil)
	c.agent(t, "1.1.0", "good")
	c.pinAgent(t, "1.1.0", false)
	s.news("1.1.0")
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Fatalf("%+v", o)
	}
	history, err := s.History(t.Context())
	_, told := notice.Events(nil, api.Status{}, history, nil)
	if err != nil || len(history) != 1 {
		t.Fatalf("%+v %v", history, err)
	}
	o := s.crashes("1.0.0")
	if o.Result != self.TakenBack || o.From != "1.0.0" || o.To != "1.1.0" {
		t.Errorf("%+v", o)
	}
	var events []notice.Event
	s.until("told of it", func(api.Status) bool {
		history, err = s.History(t.Context())
		events, _ = notice.Events(&told, api.Status{}, history, nil)
		return err == nil && len(history) == 2
	})
	if u := history[0]; u.Result != api.ResultRolledBack || u.To != "1.1.0" || u.Reason != "it ended badly 3 times before it had worked for 10m0s" {
		t.Errorf("the history: %+v", u)
	}
	if len(events) != 1 || events[0].Kind != notice.AgentFailed || events[0].To != "1.1.0" {
		t.Errorf("people are told %+v", events)
	}
	s.is(api.Agent{Version: "1.0.0", Asked: "1.1.0", Kind: agentFailed, Trouble: "agent 1.1.0 did not work here on "})
	s.calm("it was taken back")
}

// TestOlderAgent: a site goes back to an older agent with permission only.
func TestOlderAgent(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	c.agent(t, "1.0.0", "good")
	s := newAgentSite(t, c, c.line(), "2.0.0", nil)
	c.pinAgent(t, "1.0.0", false)
	s.news("1.0.0")
	s.calm("it is older")
	s.is(api.Agent{
		Version: "2.0.0", Asked: "1.0.0", Kind: agentOlder,
		Trouble: "the manifest asks for the older agent 1.0.0, and does not say that this site may go back to it",
	})
	c.pinAgent(t, "1.0.0", true)
	s.untilChecked(func(st api.Status) bool { return st.Agent.Wanted == "1.0.0" })
	if o := s.hands("1.0.0"); o.Result != self.Done || o.From != "2.0.0" {
		t.Errorf("%+v", o)
	}
	s.is(api.Agent{Version: "1.0.0"})
}

// TestAgentFromAStick: a site without any line takes the agent from the stick that brings the release.
func TestAgentFromAStick(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	s := newAgentSite(t, c, "", "1.0.0", func(c *site.Config) { c.Sources = nil })
	c.agent(t, "1.1.0", "good")
	c.pinAgent(t, "1.1.0", false)
	s.order(api.UpdateRequest{From: stickOf(t, c)})
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
	s.is(api.Agent{Version: "1.1.0"})
	if c.sent.Load() != 0 {
		t.Errorf("%d bytes came over the line", c.sent.Load())
	}
}

// TestAgentFromARegistry: the same from a registry.
func TestAgentFromARegistry(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	a := c.agent(t, "1.1.0", "good")
	c.pinAgent(t, "1.1.0", false)
	r := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer r.Close()
	spec := "oci://" + strings.TrimPrefix(r.URL, "http://") + "/clinic/emr"
	release, err := c.fleet.Release("1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	all := pack.Contents{Documents: c.files, Store: c.store, Releases: []*manifest.Release{release}, Agents: []*manifest.Agent{a}}
	if err := pack.PublishOCI(t.Context(), spec, all, nil); err != nil {
		t.Fatal(err)
	}
	s := newAgentSite(t, c, spec, "1.0.0", nil)
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
	s.is(api.Agent{Version: "1.1.0"})
}

// TestAgentInQuietHours: no program comes before they are over.
func TestAgentInQuietHours(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	s := newAgentSite(t, c, c.line(), "1.0.0", func(c *site.Config) { c.Quiet = "13:00-17:00" })
	s.at("13:00")
	c.agent(t, "1.1.0", "good")
	c.pinAgent(t, "1.1.0", false)
	sent := c.sent.Load()
	s.news("1.1.0")
	s.calm("quiet hours")
	s.is(api.Agent{Version: "1.0.0", Asked: "1.1.0", Wanted: "1.1.0"})
	if n := c.sent.Load() - sent; n != 0 {
		t.Errorf("%d bytes came", n)
	}
	s.at("17:00")
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
}

// TestAgentHasABudget: a program that is larger than what is left of the day comes on the next one, and goes on at the byte.
func TestAgentHasABudget(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	const budget = 2_000_000
	s := newAgentSite(t, c, c.line(), "1.0.0", func(c *site.Config) { c.Budget.Day = "2 MB" })
	a := c.agent(t, "1.1.0", "large")
	if n := a.Platforms[0].Full.Size; n < budget || n > 2*budget {
		t.Fatalf("the program has %d bytes", n)
	}
	c.pinAgent(t, "1.1.0", false)
	s.news("1.1.0")
	s.until("at the end of the budget", func(api.Status) bool {
		list, err := s.Journal.Changes(func(u *change.Change) bool { return u.Kind == KindAgent && !u.Finished.IsZero() })
		return err == nil && len(list) > 0 && list[0].Cause != nil && polite(list[0].Cause.Class)
	})
	s.calm("the budget is used up")
	if n := s.crossed(); n > budget+200_000 { // what is under way comes
		t.Errorf("%d bytes crossed the line", n)
	}
	s.at("00:00")
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
	if n := s.crossed(); n > a.Platforms[0].Full.Size+100_000 {
		t.Errorf("%d bytes crossed the line of a program of %d", n, a.Platforms[0].Full.Size)
	}
}

// TestAgentGivesWay: an order of a person ends the fetch of a program, which goes on after it where it was.
func TestAgentGivesWay(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	s := newAgentSite(t, c, c.line(), "1.0.0", nil)
	a := c.agent(t, "1.1.0", "good")
	c.pinAgent(t, "1.1.0", false)
	half := c.sent.Load() + 300_000
	c.holdAt(300_000)
	s.news("1.1.0")
	s.until("in the middle of the program", func(api.Status) bool {
		u, err := s.unfinished()
		return err == nil && u != nil && u.Kind == KindAgent && c.sent.Load() >= half
	})
	s.order(api.UpdateRequest{})
	s.until("the fetch of the program ended", func(api.Status) bool {
		list, err := s.Journal.Changes(func(u *change.Change) bool { return u.Kind == KindAgent && !u.Finished.IsZero() })
		return err == nil && len(list) == 1 && list[0].Cause != nil && list[0].Cause.Class == change.ClassReplaced
	})
	c.goOn()
	if o := s.hands("1.1.0"); o.Result != self.Done {
		t.Errorf("%+v", o)
	}
	if n := s.crossed(); n > a.Platforms[0].Full.Size+100_000 {
		t.Errorf("%d bytes crossed the line for a program of %d", n, a.Platforms[0].Full.Size)
	}
}

// TestCandidateOfAnotherMind: a program that is ready, and no longer asked for, is not tried.
func TestCandidateOfAnotherMind(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 1000)
	s := newAgentSite(t, c, c.line(), "1.0.0", nil)
	_ = s.stop()
	s.begin()
	if err := s.Journal.SetFact(factCandidate, candidate{Program: self.Program{Version: "1.1.0", Digest: digest.FromString("x")}, Change: 7}); err != nil {
		t.Fatal(err)
	}
	s.until("forgotten", func(api.Status) bool { have, err := s.candidate(); return err == nil && have == nil })
	s.calm("it is not asked for")
	if _, err := os.Stat(s.file); err != nil || s.Self.Version() != "1.0.0" {
		t.Error(err)
	}
}
