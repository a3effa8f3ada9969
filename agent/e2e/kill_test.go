//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
)

// TestVolumePruned takes the volume away while no container holds it, as a docker volume prune from somebody's cron job does.
func TestVolumePruned(t *testing.T) {
	t.Parallel()
	for point, release := range map[string]string{"start-release/down": "1.1.0", "undo-arm-restore/before": "1.2.0"} {
		k := newFaultSite(t, killFleet(t, "pruned"+release[2:3]))
		s := k.site
		before := s.ledger()
		s.centre.pin(t, s.name, release, k.source)
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
