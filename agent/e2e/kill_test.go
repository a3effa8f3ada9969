//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
)

// points reads a trace of fault points: each once, in the order in which they were first passed.
func points(t testing.TB, trace string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lines(string(data)) {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if len(list) < 10 {
		t.Fatalf("only %d fault points were passed: %s", len(list), list)
	}
	return list
}

// killJob is one fault point, in an update that works or in one that fails.
type killJob struct {
	point   string
	failing bool
}

// TestKilledLedger kills the agent once at every fault point that a good and a failing update pass, starts it again and expects
// the whole old or the whole new release with its data.
func TestKilledLedger(t *testing.T) {
	const workers = 4
	trace := newKillSite(t, killFleet(t, "killtrace"))
	good := trace.traced("1.1.0", 0)
	bad := trace.traced("1.2.0", api.CodeRolledBack)
	trace.site.remove()
	t.Logf("%d fault points of a good update: %s", len(good), good)
	t.Logf("%d fault points of a failing update: %s", len(bad), bad)

	// Until data may change, a failing update is the same as a good one.
	arm := slices.IndexFunc(bad, func(p string) bool { return strings.HasPrefix(p, "arm-restore/") })
	if arm < 0 {
		t.Fatal("the step arm-restore was not passed")
	}
	jobs := make(chan killJob, len(good)+len(bad))
	for _, p := range good {
		jobs <- killJob{point: p}
	}
	for _, p := range bad[arm:] {
		jobs <- killJob{point: p, failing: true}
	}
	close(jobs)
	figure(t, "fault points at which the agent was killed (ledger): %d", len(jobs))
	for i := range workers {
		t.Run(fmt.Sprintf("worker %d", i), func(t *testing.T) {
			t.Parallel()
			// Each worker has images of its own: no site takes away what another one uses.
			f := killFleet(t, fmt.Sprintf("killed%d", i))
			var k *killSite
			for j := range jobs {
				began := time.Now()
				// An update that works leaves a site on which it can't be tried again.
				if k == nil || !j.failing {
					if k != nil {
						k.site.remove()
					}
					k = newKillSite(t, f)
				}
				if j.failing {
					k.killedWhileFailing(j.point, f)
				} else {
					k.killedWhileUpdating(j.point)
				}
				t.Logf("%4.1fs %+v", time.Since(began).Seconds(), j)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// fleet is a ledger fleet whose images no other fleet has.
type fleet struct {
	name   string
	centre *Centre
	sites  int // made so far
	broken int // releases 1.2.N made so far
}

func killFleet(t testing.TB, name string) *fleet {
	t.Helper()
	c := newCentre(t, ledgerStack)
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		tag := v + "-" + name
		variant(t, "dhow-ledger/ledger", v, tag, func(i *imageChange) { i.label = name })
		c.release(t, v, tag)
	}
	return &fleet{name: name, centre: c}
}

// killSite is a ledger site that runs 1.0.0.
type killSite struct {
	t      testing.TB
	site   *Site
	source string
}

func newKillSite(t testing.TB, f *fleet) *killSite {
	t.Helper()
	f.sites++
	name := fmt.Sprintf("%s-%d", f.name, f.sites)
	k := &killSite{t: t, site: newSite(t, f.centre, name), source: folderSource(t)}
	// An engine that has never seen the images, as a new site's.
	dropImages(t, f.centre)
	f.centre.pin(t, name, "1.0.0", k.source)
	k.site.install(k.source)
	k.site.must("update", "--now")
	k.site.post("/entries", "typed on 1.0.0")
	return k
}

// traced updates to a release and answers the fault points that were passed.
func (k *killSite) traced(release string, code int) []string {
	k.t.Helper()
	file := filepath.Join(k.site.prefix, "trace-"+release)
	k.site.stop()
	k.site.start("DHOW_FAULT_TRACE=" + file)
	k.site.centre.pin(k.t, k.site.name, release, k.source)
	k.site.expect(code, "update", "--now")
	k.site.settled(time.Minute)
	// Cleanups run after the answer; a clean stop waits for them.
	k.site.stop()
	k.site.start()
	return points(k.t, file)
}

// interrupt orders an update to a release from an agent that is killed at the point, and starts the agent again.
func (k *killSite) interrupt(release, point string) {
	k.t.Helper()
	s := k.site
	s.stop()
	s.centre.pin(k.t, s.name, release, k.source)
	s.launch("DHOW_FAULT="+point+":kill", "DHOW_FAULT_DIR="+k.t.TempDir())
	poll(k.t, 20*time.Second, "the agent to answer or to be killed", func() (bool, string) {
		r := s.run("status", "--json")
		return r.Code == 0 || !s.running(), r.String()
	})
	// The one who asked waits for the agent to come back, as somebody in front of the screen would.
	asked := make(chan Result, 1)
	go func() { asked <- s.run("update", "--now") }()
	poll(k.t, time.Minute, "the agent to be killed at "+point, func() (bool, string) {
		select {
		case r := <-asked:
			asked <- r
			return !s.running(), r.String() + s.tail()
		default:
			return !s.running(), s.tail()
		}
	})
	dropImages(k.t, s.centre)
	s.start()
	s.settled(time.Minute)
	if r := <-asked; r.Code != api.CodeOK && r.Err == "" {
		k.t.Errorf("killed at %s: the one who asked was told nothing: %s", point, r)
	}
}

// killedWhileUpdating expects 1.0.0 or 1.1.0, and that the update works in the end.
func (k *killSite) killedWhileUpdating(point string) {
	k.t.Helper()
	s := k.site
	before := s.ledger()
	k.interrupt("1.1.0", point)
	release := s.status().Release
	s.sane(release)
	switch release {
	case "1.0.0":
		if diff := before.differs(s.ledger()); diff != "" {
			k.t.Errorf("killed at %s, back on 1.0.0: %s", point, diff)
		}
		s.must("update", "--now")
	case "1.1.0":
	default:
		k.t.Errorf("killed at %s: release %q", point, release)
	}
	s.sane("1.1.0")
	if diff := before.after("1.1.0").differs(s.ledger()); diff != "" {
		k.t.Errorf("killed at %s, now on 1.1.0: %s", point, diff)
	}
}

// killedWhileFailing expects 1.1.0 as it was. Each time it is another release with the same broken image: what did not work at a
// site is not tried there again.
func (k *killSite) killedWhileFailing(point string, f *fleet) {
	k.t.Helper()
	s := k.site
	if s.status().Release == "1.0.0" {
		s.centre.pin(k.t, s.name, "1.1.0", k.source)
		s.must("update", "--now")
	}
	f.broken++
	release := fmt.Sprintf("1.2.%d", f.broken)
	s.centre.release(k.t, release, "1.2.0-"+f.name)
	s.post("/entries", "typed before "+release)
	before := s.data()
	k.interrupt(release, point)
	s.sane("1.1.0")
	before.same(k.t, s.data(), "killed at "+point+" of a failing update")
	if u := s.last(); u.To != release || u.Result != api.ResultRolledBack || u.Reason == "" {
		k.t.Errorf("killed at %s of a failing update: the history says %+v", point, u)
	}
}

// TestVolumePruned takes the volume away while no container holds it, as a docker volume prune from somebody's cron job does.
func TestVolumePruned(t *testing.T) {
	t.Parallel()
	for point, release := range map[string]string{"start-release/down": "1.1.0", "undo-arm-restore/before": "1.2.0"} {
		f := killFleet(t, "pruned"+release[2:3])
		k := newKillSite(t, f)
		s := k.site
		before := s.ledger()
		s.centre.pin(t, s.name, release, k.source)
		s.stop()
		s.launch("DHOW_FAULT="+point+":kill", "DHOW_FAULT_DIR="+t.TempDir())
		poll(t, time.Minute, "the agent to be killed at "+point, func() (bool, string) {
			if s.running() {
				s.run("update", "--now")
			}
			return !s.running(), s.tail()
		})
		docker(t, "volume", "rm", s.project+"_ledger-data")
		s.start()
		s.settled(time.Minute)
		if release == "1.2.0" {
			s.sane("1.0.0")
			before.same(t, s.ledger(), "the ledger after a volume was lost in a failing update")
			continue
		}
		s.sane("1.1.0")
		before.after("1.1.0").same(t, s.ledger(), "the ledger after a volume was lost in an update")
	}
}

// TestKilledClinic does a good and a failing update of the stack with the database; the agent is killed at every fault point
// once in turn, and all images that no container uses are removed each time.
func TestKilledClinic(t *testing.T) {
	t.Parallel()
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "clinic-killed")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source, "--set", "CLINIC_ROWS=5000", "--set", "CLINIC_MB=8")
	s.must("update", "--now")
	s.post("/patients", `{"name": "Typed on 1.0.0"}`)
	common := s.common()

	kills, release := s.killedAgain("1.1.0", source)
	for try := 0; release == "1.0.0" && try < 3; try++ {
		// Too many interruptions of one step: given up, whole and old. Asked again, it goes on.
		s.sane("1.0.0")
		common.same(t, s.common(), "data after an update that was given up")
		var more int
		more, release = s.killedAgain("1.1.0", source)
		kills += more
	}
	s.sane("1.1.0")
	common.same(t, s.common(), "rows and files after an update with many kills")

	before := s.data()
	more, release := s.killedAgain("1.2.0", source)
	if release != "1.1.0" {
		t.Errorf("the broken release ended as %q", release)
	}
	s.sane("1.1.0")
	before.same(t, s.data(), "data after a failing update with many kills")
	if u := s.last(); u.Result != api.ResultRolledBack {
		t.Errorf("history: %+v", u)
	}
	figure(t, "kills during one good and one failing update (clinic): %d", kills+more)
}

// killedAgain orders an update from an agent that dies at every point it comes to, once each, until the change has ended.
// It answers how often the agent died and the release that runs.
func (s *Site) killedAgain(release, source string) (kills int, running string) {
	s.t.Helper()
	number := s.last().ID
	s.centre.pin(s.t, s.name, release, source)
	s.stop()
	env := []string{"DHOW_FAULT=" + strings.Join(everyPoint(s.t), ":kill,") + ":kill", "DHOW_FAULT_DIR=" + s.t.TempDir()}
	s.launch(env...)
	poll(s.t, 4*time.Minute, "the update to "+release+" to end although the agent is killed everywhere", func() (bool, string) {
		if !s.running() {
			kills++
			dropImages(s.t, s.centre)
			s.launch(env...)
		}
		var st api.Status
		r := s.run("status", "--json")
		if r.Code != 0 || json.Unmarshal([]byte(r.Out), &st) != nil || (st.State != api.StateIdle && st.State != api.StateReady) {
			return false, r.String() + s.tail()
		}
		if u := st.LastUpdate; u != nil && u.ID > number && !u.Finished.IsZero() {
			running = st.Release
			return true, ""
		}
		s.run("update", "--now")
		return false, r.String() + s.tail()
	})
	// Cleaning up comes after the end, and the agent may be killed there too.
	poll(s.t, time.Minute, "the agent to have cleaned up", func() (bool, string) {
		s.stop()
		s.launch(env...)
		r := s.run("status", "--json")
		return r.Code == 0 && s.running(), r.String()
	})
	s.stop()
	s.start()
	return kills, running
}

var (
	stepName   = regexp.MustCompile(`Name: "([a-z-]+)"`)
	faultPlace = regexp.MustCompile(`\.Fault\("([a-z-]+)"\)`)
)

// everyPoint makes up the names of all fault points that the pipeline can have, from its table of steps and its handlers.
func everyPoint(t testing.TB) (list []string) {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(world.source, "..", "update", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	places := []string{"before", "after"}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range stepName.FindAllStringSubmatch(string(text), -1) {
			steps = append(steps, m[1], "undo-"+m[1], "clean-"+m[1])
		}
		for _, m := range faultPlace.FindAllStringSubmatch(string(text), -1) {
			places = append(places, m[1])
		}
	}
	if len(steps) < 30 || len(places) < 5 {
		t.Fatalf("found only %d steps and %d places in the source of the pipeline", len(steps)/3, len(places))
	}
	for _, s := range steps {
		for _, p := range places {
			list = append(list, s+"/"+p)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
