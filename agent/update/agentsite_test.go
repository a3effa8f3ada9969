package update

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/self"
	"dhow/agent/site"
	"dhow/bundle/bundletest"
	"dhow/manifest"
	"dhow/manifest/deltas"
	"dhow/manifest/program"
)

// smallAgent is built once.
var smallAgent = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "dhow")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./testdata/agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

// programOf is a program that says that it is of a version, and works well or not. Each has something of its own in it, as builds have, a large one much.
func programOf(t *testing.T, version, how string) []byte {
	t.Helper()
	data, err := smallAgent()
	if err != nil {
		t.Fatal(err)
	}
	size := 100_000
	if how == "large" {
		size = 3_000_000
	}
	own := bundletest.Bytes(uint64(crc32.ChecksumIEEE([]byte(version))), size)
	return fmt.Appendf(bytes.Join([][]byte{data, own}, nil), "\nthis program is %s %s\n", version, how)
}

// agent puts a version of the agent into the fleet, with deltas from older ones.
func (c *centre) agent(t *testing.T, version, how string, older ...string) *manifest.Agent {
	t.Helper()
	var from []*manifest.Agent
	for _, v := range older {
		a, err := c.fleet.Agent(v)
		if err != nil {
			t.Fatal(err)
		}
		from = append(from, a)
	}
	data := programOf(t, version, how)
	a, warnings, err := deltas.MakeAgent(t.Context(), c.store, "clinic", version, []deltas.Program{{
		Platform: program.Here(), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}}, from, nil)
	if err == nil {
		err = c.fleet.SaveAgent(a)
	}
	if err != nil || len(warnings) > 0 || len(a.Platforms[0].Deltas) != len(older) {
		t.Fatalf("%v %q %+v", err, warnings, a)
	}
	return a
}

// pinAgent has all sites run a version of the agent; older says that they may go back to it.
func (c *centre) pinAgent(t *testing.T, version string, older bool) {
	t.Helper()
	if err := errors.Join(c.fleet.Fleet().PinAgent("", version, older), c.fleet.SaveFleet()); err != nil {
		t.Fatal(err)
	}
	files := c.fleet.Publish()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files = files
}

// agentSite is a site that has its stack, and a program of the agent in a file.
type agentSite struct {
	*thinSite
	file string
}

func newAgentSite(t *testing.T, c *centre, source, version string, change func(*site.Config)) *agentSite {
	t.Helper()
	s := &agentSite{thinSite: newThinSite(t, c, source, change), file: filepath.Join(t.TempDir(), "dhow")}
	if err := os.WriteFile(s.file, programOf(t, version, "good"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.runs(version)
	if source != "" {
		s.untilChecked(ready)
	}
	return s
}

// runs starts the agent as a version.
func (s *agentSite) runs(version string) {
	s.t.Helper()
	_ = s.stop()
	s.Self = self.New(self.Options{
		Program: s.file, Folder: s.Paths.Agent(), Version: version, Args: []string{"agent"}, Now: func() time.Time { return *s.wall.Load() },
		Settle: 100 * time.Millisecond, Limit: 10 * time.Second, Silence: 5 * time.Second, Stop: 5 * time.Second, Pause: 5 * time.Millisecond,
	})
	s.begin()
}

// crashes has the program in place end badly so often that its next start takes the one before back, and carries that out. The one before runs then.
func (s *agentSite) crashes(before string) self.Outcome {
	s.t.Helper()
	_ = s.stop()
	path := filepath.Join(s.Paths.Agent(), "state.json")
	data, err := os.ReadFile(path)
	var state map[string]any
	if err = errors.Join(err, json.Unmarshal(data, &state)); err == nil {
		state["probation"].(map[string]any)["bad_ends"] = 3
		data, err = json.Marshal(state)
	}
	if err = errors.Join(err, os.WriteFile(path, data, 0o600)); err != nil {
		s.t.Fatal(err)
	}
	s.runs(s.Self.Version()) // so that its own file is known; it ends at once
	_ = s.stop()
	if next := s.Self.Start(s.t.Context()); next != self.Again {
		s.t.Fatalf("next %v", next)
	}
	s.runs(before)
	end, err := s.Self.State()
	if err != nil || end.Last == nil {
		s.t.Fatalf("%+v %v", end, err)
	}
	return *end.Last
}

// hands waits until the agent ends for a trial, and carries that out as its starter. It returns how it ended; the agent of that version runs then.
func (s *agentSite) hands(to string) self.Outcome {
	s.t.Helper()
	s.until("at the trial of "+to, func(api.Status) bool {
		state, err := s.Self.State()
		return err == nil && state.Trial != nil && state.Trial.To.Version == to
	})
	if err := s.stop(); !errors.Is(err, ErrHandOver) {
		s.t.Fatalf("the agent ended with %v", err)
	}
	version := s.Self.Version()
	if s.Self.Start(s.t.Context()) == self.Again {
		version = to
	}
	state, err := s.Self.State()
	if err != nil || state.Trial != nil || state.Last == nil || state.Last.To != to {
		s.t.Fatalf("after the trial: %+v %v", state, err)
	}
	s.runs(version)
	s.until("told of its trial", func(api.Status) bool {
		list, err := s.History(s.t.Context())
		return err == nil && len(list) > 0 && list[0].Kind == KindAgent && list[0].To == to && list[0].Result == state.Last.Result
	})
	return *state.Last
}

// is checks what status says of the agent.
func (s *agentSite) is(want api.Agent) {
	s.t.Helper()
	st, err := s.Status(s.t.Context())
	if err != nil || st.Agent == nil {
		s.t.Fatalf("%+v %v", st.Agent, err)
	}
	got := *st.Agent
	if want.Trouble != "" && strings.HasPrefix(got.Trouble, want.Trouble) {
		got.Trouble = want.Trouble
	}
	if got != want {
		s.t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// news lets the site look for news until it knows which agent is asked for.
func (s *agentSite) news(asked string) {
	s.t.Helper()
	s.untilChecked(func(st api.Status) bool { return st.Agent.Asked == asked })
}

// calm fails when the agent begins anything with a program once nothing is under way.
func (s *agentSite) calm(why string) {
	s.t.Helper()
	s.until("idle", func(api.Status) bool { c, err := s.unfinished(); return err == nil && c == nil })
	c, err := s.startAgent()
	if err != nil || c != nil {
		s.t.Errorf("%s: a change begins with an agent: %+v %v", why, c, err)
	}
	if over, err := s.handOver(s.t.Context()); over || err != nil {
		s.t.Errorf("%s: it hands over: %v", why, err)
	}
	if state, err := s.Self.State(); err != nil || state.Trial != nil {
		s.t.Errorf("%s: %+v %v", why, state.Trial, err)
	}
}
