package update

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/journal"
	"dhow/agent/self"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
)

// The packer of fleet documents is made by the first who needs it, and may not belong to the bubble of one test.
func init() {
	f := manifest.Fleet{Format: manifest.FleetFormat, Name: "emr"}
	if _, err := f.Encode(); err != nil {
		panic(err)
	}
}

// oneAgent is a manager whose manifest asks for agent 2.0.0, with a program 1.0.0 of a few bytes.
type oneAgent struct {
	*Manager
	file string
	said bytes.Buffer
}

func newOneAgent(t *testing.T, before func(p *Parts)) *oneAgent {
	t.Helper()
	a := &oneAgent{file: filepath.Join(t.TempDir(), "dhow")}
	m := settled(t, nil)
	f := manifesttest.New(t, "emr")
	f.Assign("", "pilot", "")
	p := manifest.AgentProgram{Platform: "linux/amd64", Digest: digest.FromString("2"), Size: 1, Full: manifest.Blob{Digest: digest.FromString("2"), Size: 1}}
	err := errors.Join(
		os.WriteFile(a.file, []byte("1.0.0"), 0o755),
		f.Fleet().SetSite("kin-001", manifest.Site{Ring: "pilot"}),
		f.SaveAgent(&manifest.Agent{Format: manifest.AgentFormat, Fleet: "emr", Version: "2.0.0", Platforms: []manifest.AgentProgram{p}}),
		f.Fleet().PinAgent("", "2.0.0", false),
		f.SaveFleet(),
	)
	if err != nil {
		t.Fatal(err)
	}
	m.told(t, f)
	parts := m.Parts
	parts.Log = slog.New(slog.NewTextHandler(&a.said, nil))
	parts.Now = time.Now
	if parts.Journal, err = journal.Open(parts.Paths.Journal()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parts.Journal.Close() })
	if parts.Engine, err = engine.Connect("unix://" + filepath.Join(t.TempDir(), "nobody.sock")); err != nil {
		t.Fatal(err)
	}
	if before != nil {
		before(&parts)
	}
	parts.Self = self.New(self.Options{Program: a.file, Folder: parts.Paths.Agent(), Version: "1.0.0"})
	a.Manager = New(parts)
	return a
}

// hands asks as Run does, every now and then for so long, and reports whether the agent hands over.
func (a *oneAgent) hands(t *testing.T, within time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); <-time.After(lookEvery) {
		over, err := a.handOver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if over {
			return true
		}
	}
	return false
}

// pending leaves a trial of agent 2.0.0.
func pending(t *testing.T, p *Parts, proven bool) {
	t.Helper()
	state := fmt.Sprintf(`{"format":1,"trial":{"from":{"version":"1.0.0","digest":%q},"to":{"version":"2.0.0","digest":%q},"proven":%v,"begun":"2026-11-22T10:00:00Z"}}`,
		digest.FromString("1.0.0"), digest.FromString("2"), proven)
	leaveState(t, p, state)
}

func leaveState(t *testing.T, p *Parts, state string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(p.Paths.Agent(), 0o700), os.WriteFile(filepath.Join(p.Paths.Agent(), "state.json"), []byte(state), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// A process that is started with a trial pending could not carry it out, and must not execute itself again and again for it: the site would have no
// agent. One that is proven is put in place by a later try; one that is not waits for a start, or for a person.
func TestTrialThatWaits(t *testing.T) {
	for _, proven := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := newOneAgent(t, func(p *Parts) { pending(t, p, proven) })
			if a.hands(t, swapPause-time.Minute) {
				t.Fatalf("proven %v: it executes itself again at once", proven)
			}
			if got := a.hands(t, 4*swapPause); got != proven {
				t.Errorf("proven %v: hands over later: %v", proven, got)
			}
			a.stay()
			a.retry(t)
			if !a.hands(t, time.Minute) {
				t.Errorf("proven %v: not when a person says so", proven)
			}
		})
	}
}

// retry is what --retry does to trials.
func (a *oneAgent) retry(t *testing.T) {
	t.Helper()
	if _, err := a.Update(t.Context(), api.UpdateRequest{Retry: true}); err != nil {
		t.Fatal(err)
	}
	c, err := a.unfinished()
	if err != nil || c == nil {
		t.Fatalf("%+v %v", c, err)
	}
	if err := errors.Join(a.runner.Abandon(c, replaced), a.runner.Run(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
}

// Why a trial can't go on is said to people, and no other program is fetched over its candidate.
func TestStuckIsSaid(t *testing.T) {
	a := newOneAgent(t, func(p *Parts) { pending(t, p, true) })
	if w := a.wantedAgent(); w.take != "2.0.0" {
		t.Fatalf("%+v", w)
	}
	files := self.Files(a.file)
	if err := errors.Join(os.WriteFile(files[0], []byte("2"), 0o755), os.MkdirAll(filepath.Join(files[2], "in the way"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if next := a.Self.Start(t.Context()); next != self.Run {
		t.Fatalf("next %v", next)
	}
	w := a.wantedAgent()
	want := "the trial of another agent can't go on, and waits for the next start of the agent: cannot put the new program in place: "
	if w.take != "" || w.asked != "2.0.0" || w.kind != agentWaits || !strings.HasPrefix(w.why, want) {
		t.Errorf("%+v", w)
	}
}

// A state that is damaged, or of a newer agent, counts as none, and is said once.
func TestStateThatCantBeRead(t *testing.T) {
	for _, state := range []string{`{"format":2}`, "{", ""} {
		synctest.Test(t, func(t *testing.T) {
			a := newOneAgent(t, func(p *Parts) { leaveState(t, p, state) })
			if err := a.tellTrial(t.Context()); err != nil {
				t.Fatal(err)
			}
			if a.hands(t, time.Hour) {
				t.Error("it hands over to nobody")
			}
			if err := a.Journal.SetFact(factCandidate, candidate{Program: self.Program{Version: "2.0.0", Digest: digest.FromString("2")}, Change: 7}); err != nil {
				t.Fatal(err)
			}
			if !a.hands(t, time.Minute) {
				t.Error("no trial begins")
			}
			if s, err := a.Self.State(); err != nil || s.Trial == nil || s.Trial.From.Digest != digest.FromString("1.0.0") {
				t.Errorf("%+v %v", s, err)
			}
			if n := strings.Count(a.said.String(), "nothing is known of trials"); n != 1 {
				t.Errorf("said %d times", n)
			}
		})
	}
}

// An engine that is away is said as such: the starter looks then whether it is the candidate's fault.
func TestTryWithoutAnEngine(t *testing.T) {
	reached := false
	if err := newOneAgent(t, nil).Try(t.Context(), self.Expect{Engine: true}, &reached); !errors.Is(err, self.ErrNoEngine) {
		t.Errorf("%v", err)
	}
}

// A package that was put in the place of the program while an update went on takes over by itself: no program vouches for it.
func TestHandsOverToAPackage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newOneAgent(t, nil)
		err := errors.Join(
			os.WriteFile(a.file+".unpacked", []byte("1.5.0"), 0o755), os.Rename(a.file+".unpacked", a.file),
			a.Journal.SetFact(factCandidate, candidate{Program: self.Program{Version: "2.0.0", Digest: digest.FromString("2")}, Change: 7}),
		)
		if err != nil {
			t.Fatal(err)
		}
		if !a.hands(t, time.Minute) {
			t.Error("it does not hand over")
		}
		if s, err := a.Self.State(); err != nil || s.Trial != nil {
			t.Errorf("a trial begins: %+v %v", s.Trial, err)
		}
	})
}
