//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dhow/agent/api"
)

// What befalls an engine.
const (
	killed    = "killed"      // SIGKILL; its containers live on
	restarted = "restarted"   // SIGTERM, as a package upgrade does; its containers stop
	powerCut  = "power cut"   // agent, engine and containers end at once; the engine is back first
	lateStart = "late engine" // the same, and the agent is back first
)

// moment is when something befalls the engine: when the agent passes a fault point (its beginning counts) in an update that works or in one
// that fails.
type moment struct {
	what    string
	point   string
	after   time.Duration
	failing bool
}

// engineMoments are tried in every run, each worker its share.
var engineMoments = [][]moment{
	{
		{what: killed, point: "load-images/before", after: 30 * time.Millisecond},
		{what: restarted, point: "load-images/before", after: 30 * time.Millisecond},
		{what: killed, point: "start-release/before", after: 20 * time.Millisecond},
		{what: restarted, point: "start-release/before", after: 20 * time.Millisecond},
		{what: killed, point: "arm-restore/restore", failing: true},
		{what: powerCut, point: "back-up/copy"},
		{what: powerCut, point: "commit-release/after", after: 300 * time.Millisecond},
	},
	{
		{what: killed, point: "close-doors/held", after: 20 * time.Millisecond},
		{what: killed, point: "start-release/down", after: 200 * time.Millisecond},
		{what: restarted, point: "start-release/down", after: 200 * time.Millisecond},
		{what: killed, point: "commit-release/after", after: 100 * time.Millisecond},
		{what: powerCut, point: "undo-start-release/before", after: 50 * time.Millisecond, failing: true},
		{what: lateStart, point: "check-health/before", after: 300 * time.Millisecond},
	},
}

// TestEngineKilled kills, restarts and starts late the engine itself, at chosen moments of updates, and expects each time the whole old or the whole
// new release with its data.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	for i, moments := range engineMoments {
		t.Run(fmt.Sprintf("worker %d", i), func(t *testing.T) {
			t.Parallel()
			e := newEngineSite(t, fmt.Sprintf("engine%d", i))
			for _, m := range moments {
				began := time.Now()
				e.befall(m)
				t.Logf("%4.1fs %+v: %s", time.Since(began).Seconds(), m, e.site.status().Release)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// engineSite is a ledger site with an engine of its own.
type engineSite struct {
	t      testing.TB
	site   *Site
	engine *Engine
	source string
	trace  string
	made   int // releases after 1.1.0
}

func newEngineSite(t testing.TB, name string) *engineSite {
	t.Helper()
	c := newCentre(t, ledgerStack)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		c.release(t, v, v)
	}
	e := &engineSite{t: t, site: newSite(t, c, name), source: folderSource(t)}
	e.engine, e.trace = newEngine(t, ""), filepath.Join(e.site.prefix, "trace")
	s := e.site
	s.engine, s.programs = e.engine, map[string]string{}
	c.pin(t, s.name, "1.0.0", e.source)
	s.install(e.source)
	s.stop()
	e.start()
	s.must("update", "--now")
	s.post("/entries", "typed on 1.0.0")
	before := s.ledger()
	c.pin(t, s.name, "1.1.0", e.source)
	s.must("update", "--now")
	s.sane("1.1.0")
	before.after("1.1.0").same(t, s.ledger(), "the ledger after an update")
	return e
}

// start starts the agent, which writes down the fault points that it passes.
func (e *engineSite) start() {
	e.t.Helper()
	e.site.start("DHOW_FAULT_TRACE=" + e.trace)
}

// release makes a release whose images nobody has: one that works on the data of 1.1.0 and leaves them alone, or one that fails.
func (e *engineSite) release(failing bool) string {
	e.t.Helper()
	e.made++
	from, version := "1.1.0", fmt.Sprintf("1.1.%d", e.made)
	if failing {
		from, version = "1.2.0", fmt.Sprintf("1.2.%d", e.made)
	}
	tag := version + "-" + e.site.name
	variant(e.t, "dhow-ledger/ledger", from, tag, func(i *imageChange) { i.label, i.extra = tag, 16<<20+e.made })
	e.site.centre.release(e.t, version, tag)
	e.site.programs[version] = from
	return version
}

// befall orders an update, lets m happen in it, and expects one of the two releases, and that the update works in the end.
func (e *engineSite) befall(m moment) {
	e.t.Helper()
	s := e.site
	old, to := s.status().Release, e.release(m.failing)
	s.post("/entries", "typed before "+to)
	before := s.data()
	s.centre.pin(e.t, s.name, to, e.source)
	from := e.traced()
	asked := make(chan Result, 1)
	go func() { asked <- s.run("update", "--now") }()
	e.await(m, from, asked)
	e.strike(m.what)
	s.settled(2 * time.Minute)
	if r := <-asked; r.Code != api.CodeOK && r.Err == "" {
		e.t.Errorf("%+v: the one who asked was told nothing: %s", m, r)
	}
	release := s.status().Release
	if release != old && (release != to || m.failing) {
		e.t.Errorf("%+v: release %q, was %s, going to %s", m, release, old, to)
	}
	s.healthy(release)
	before.same(e.t, s.data(), fmt.Sprintf("%+v, on %s", m, release))
	e.nothingElse()
	if m.failing {
		s.centre.pin(e.t, s.name, old, e.source)
		if u := s.last(); u.To != to || u.Result != api.ResultRolledBack || u.Reason == "" {
			e.t.Errorf("%+v: the history says %+v", m, u)
		}
		return
	}
	if release == old {
		s.must("update", "--now")
		s.healthy(to)
		before.same(e.t, s.data(), fmt.Sprintf("%+v, tried again", m))
	}
}

// traced says how much of the trace there is.
func (e *engineSite) traced() int64 {
	info, err := os.Stat(e.trace)
	if err != nil {
		return 0
	}
	return info.Size()
}

// await waits until the agent passes the point of m, and some time after.
func (e *engineSite) await(m moment, from int64, asked <-chan Result) {
	e.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		data, err := os.ReadFile(e.trace)
		if err != nil {
			e.t.Fatal(err)
		}
		if slices.ContainsFunc(lines(string(data[from:])), func(p string) bool { return strings.HasPrefix(p, m.point) }) {
			break
		}
		select {
		case r := <-asked:
			e.t.Fatalf("the update ended without passing %s\n%s\n%s", m.point, r, e.site.tail())
		case <-deadline:
			e.t.Fatalf("%s is not passed within a minute\n%s", m.point, e.site.tail())
		case <-tick.C:
		}
	}
	if m.after > 0 {
		<-time.After(m.after)
	}
}

// strike does to the engine what is to happen, and brings it back.
func (e *engineSite) strike(what string) {
	e.t.Helper()
	switch what {
	case killed:
		e.engine.kill()
		e.engine.start()
	case restarted:
		e.engine.stop()
		e.engine.start()
	case powerCut:
		e.site.kill()
		e.engine.cut()
		e.engine.start()
		e.start()
	case lateStart:
		e.site.kill()
		e.engine.cut()
		e.start()
		<-time.After(20 * time.Second)
		e.engine.start()
	case frozen:
		e.engine.freeze(syscall.SIGSTOP)
		e.site.silent(silentWithin)
		e.engine.freeze(syscall.SIGCONT)
	case frozenEnded:
		e.engine.freeze(syscall.SIGSTOP)
		e.site.silent(silentWithin)
		e.engine.kill()
		e.engine.start()
	case frozenAcross:
		e.engine.freeze(syscall.SIGSTOP)
		e.site.silent(silentWithin)
		began := time.Now()
		e.site.stop()
		e.t.Logf("the agent ended in %.1fs", time.Since(began).Seconds())
		e.start()
		e.site.silent(silentWithin)
		e.engine.freeze(syscall.SIGCONT)
	case stalled:
		e.engine.stall(syscall.SIGSTOP)
		e.site.silent(stalledWithin)
		e.engine.stall(syscall.SIGCONT)
	}
}

// healthy waits until the site says that the release is well, and that it is.
func (s *Site) healthy(release string) {
	s.t.Helper()
	poll(s.t, time.Minute, "release "+release+" to be healthy", func() (bool, string) {
		st, seen := s.status(), s.fetch("/release")
		return st.Health == "healthy" && seen != sawNothing && seen != sawMaintenance, fmt.Sprintf("%s, %+v\n%s", seen, st, s.tail())
	})
	s.sane(release)
}

// nothingElse fails the test when the engine holds anything beside the site's stack.
func (e *engineSite) nothingElse() {
	e.t.Helper()
	for what, args := range map[string][]string{
		"container": {"ps", "-a", "--format", "{{.Names}}"},
		"network":   {"network", "ls", "--format", "{{.Name}}", "--filter", "type=custom"},
		"volume":    {"volume", "ls", "--format", "{{.Name}}"},
		"image":     {"images", "-a", "--format", "{{.Repository}} {{.ID}} {{.Size}} made {{.CreatedSince}}"},
	} {
		for _, name := range lines(e.engine.docker(args...)) {
			if !strings.HasPrefix(name, e.site.project) && !strings.HasPrefix(name, "dhow.local/") {
				e.t.Errorf("left behind in the engine: %s %s", what, name)
			}
		}
	}
}
