//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

const (
	patientColumns = "patient_id, name, gender, birthdate, village"
	visitColumns   = "visit_id, patient_id, started, replace(note, '[malaria] ', '')"
	switching      = 4 * time.Second // that users may get no answer at all while the ports change hands
)

// common fingerprints what 1.0.0, 1.1.0 and 1.3.0 have in common.
func (s *Site) common() Data {
	s.t.Helper()
	d := Data{
		"patients":    s.rows("patient", patientColumns),
		"visits":      s.rows("visit", visitColumns),
		"attachments": s.rows("attachment", "attachment_id, patient_id, filename, sha256, bytes"),
	}
	all := Data{}
	files(s.t, all, "clinic-data", s.volume("clinic-data"))
	for name, sum := range all {
		if name != "file clinic-data/INDEX" && name != "file clinic-data/." {
			d[name] = sum
		}
	}
	return d
}

// TestClinic is the life of one site: installed from the registry, updated, saved from a broken release by itself, updated from a
// stick, and taken back by hand.
func TestClinic(t *testing.T) {
	t.Parallel()
	centre := clinicCentre(t)
	line := newLine(t)
	source := line.source("dhow-e2e/clinic-life")
	s := newSite(t, centre, "clinic-life")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	told := s.hooked()

	step(t, "first release from the registry")
	firstRelease(t, s)
	step(t, "the page over the network")
	overTheNetwork(t, s)
	step(t, "1.0 to 1.1 from the registry")
	update(t, s, source)
	before, seen := s.data(), s.seen()
	step(t, "1.2 is broken and goes back by itself")
	broken(t, s, source, before)
	seen.same(t, s.seen(), "what the application reads after the rollback")
	step(t, "1.2 is not tried again")
	notAgain(t, s)
	step(t, "1.3 works, from a stick, with no line")
	fromStick(t, s, line, source)
	step(t, "back to 1.1 by hand, with its data")
	backWithData(t, s, before)
	step(t, "back to 1.0 by hand, keeping the data")
	backKeeping(t, s)
	step(t, "what a hook was told")
	var want []string
	for _, u := range slices.Backward(s.history()) {
		kind := map[string]string{api.ResultDone: "done", api.ResultRolledBack: "rolled-back"}[u.Result]
		want = append(want, fmt.Sprintf("started %s %s", u.From, u.To), fmt.Sprintf("%s %s %s %s", kind, u.From, u.To, u.Receipt))
	}
	if len(want) != 12 {
		t.Errorf("%d lines of history, want 6", len(want)/2)
	}
	poll(t, time.Minute, "the hook", func() (bool, string) { return slices.Equal(told(), want), strings.Join(told(), "\n") })
}

func firstRelease(t *testing.T, s *Site) {
	s.must("update", "--now")
	s.settled(time.Minute)
	s.sane("1.0.0")
	if got := s.sql("select count(*) from patient"); got != "20000" {
		t.Errorf("%s patients, want 20000", got)
	}
	figure(t, "bytes of 1.0.0 to a new site: %.1f MB", float64(s.last().BytesFetched)/1e6)
	figure(t, "resident memory of the idle agent: %.1f MB (goal 40)", s.memory())
}

func update(t *testing.T, s *Site, source string) {
	s.post("/patients", `{"name": "Typed before the update"}`)
	s.post("/attachments?patient=7&name=before.jpg", strings.Repeat("x-ray ", 50000))
	before := s.common()
	s.centre.pin(t, s.name, "1.1.0", source)
	w := s.watch()
	r := s.must("update", "--now")
	mentions(t, r, "1.1.0")
	away := w.only("1.0.0", "1.1.0", switching)
	s.sane("1.1.0")
	before.same(t, s.common(), "rows and files after the update")
	u := s.last()
	if u.From != "1.0.0" || u.To != "1.1.0" || u.Result != api.ResultDone || u.Backup == "" {
		t.Errorf("history: %+v", u)
	}
	if measured := away.Seconds(); u.DowntimeSeconds < measured-3 || u.DowntimeSeconds > measured+3 {
		t.Errorf("the history says %.1f s of downtime, users saw %.1f s", u.DowntimeSeconds, measured)
	}
	whole := s.newBytes("1.0.0", "1.1.0")
	if u.BytesFetched <= 0 || u.BytesFetched > whole/5 || len(u.Setbacks) > 0 {
		t.Errorf("%d bytes fetched; the layers that are new have %d, and there are deltas (%q)", u.BytesFetched, whole, u.Setbacks)
	}
	if n := s.sql("select count(*) from patient where identifier is not null and name = 'Typed before the update'"); n != "1" {
		t.Errorf("%s migrated rows of the patient who was typed in before, want 1", n)
	}
	figure(t, "1.0.0 to 1.1.0: downtime %.1f s, %.1f kB fetched in place of %.1f", away.Seconds(), float64(u.BytesFetched)/1e3, float64(whole)/1e3)
}

// newBytes is how many bytes the layers have, as images carry them, that a release has and another one has not.
func (s *Site) newBytes(from, to string) (sum int64) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, i := range s.centre.document(s.t, from).Images {
		for _, l := range i.Platforms[0].Layers {
			seen[string(l.DiffID)] = true
		}
	}
	for _, i := range s.centre.document(s.t, to).Images {
		for _, l := range i.Platforms[0].Layers {
			if !seen[string(l.DiffID)] {
				sum += l.Size
			}
		}
	}
	return sum
}

func broken(t *testing.T, s *Site, source string, before Data) {
	s.centre.pin(t, s.name, "1.2.0", source)
	w := s.watch()
	r := s.expect(api.CodeRolledBack, "update", "--now")
	mentions(t, r, "1.2.0", "1.1.0")
	away := w.only("1.1.0", "1.1.0", 2*switching)
	s.sane("1.1.0")
	before.same(t, s.data(), "data after the rollback")
	u := s.last()
	if u.From != "1.1.0" || u.To != "1.2.0" || u.Result != api.ResultRolledBack || !strings.Contains(u.Reason, "backend") {
		t.Errorf("history: %+v", u)
	}
	mentions(t, s.must("history"), "rolled back", "backend")
	if st := s.status(); st.Pinned != "1.2.0" || st.LastUpdate == nil || st.LastUpdate.Result != api.ResultRolledBack {
		t.Errorf("status does not tell of the rollback: %+v", st)
	}
	figure(t, "1.2.0 broken and rolled back: downtime %.1f s", away.Seconds())
}

// notAgain opens the window, lets the agent look at its sources by itself, and expects that nothing happens while the manifest says the same.
func notAgain(t *testing.T, s *Site) {
	number := s.last().ID
	s.expect(api.CodeRefused, "update", "--now")
	s.stop()
	s.configure(func(c *site.Config) { c.Window, c.Fetch = "00:00-23:59", "* * * * *" })
	s.start()
	restarted := time.Now()
	poll(t, 3*time.Minute, "the agent to look at its sources by itself", func() (bool, string) {
		st := s.status()
		return st.LastCheck != nil && st.LastCheck.After(restarted) && st.State == api.StateIdle, fmt.Sprintf("%+v", st)
	})
	if u := s.last(); u.ID != number {
		t.Errorf("the broken release was tried again: %+v", u)
	}
	s.sane("1.1.0")
	s.stop()
	s.configure(func(c *site.Config) { c.Fetch = "0 0 1 1 *" })
	s.start()
}

// TestBrokenReleaseAgain has a broken release tried again: when a person asks for it, and when the manifest has asked for another one since.
func TestBrokenReleaseAgain(t *testing.T) {
	t.Parallel()
	f := killFleet(t, "again")
	s := newSite(t, f.centre, "again")
	source := folderSource(t)
	f.centre.pin(t, s.name, "1.1.0", source)
	s.install(source)
	s.must("update", "--now")
	f.centre.pin(t, s.name, "1.2.0", source)
	s.expect(api.CodeRolledBack, "update", "--now")
	s.expect(api.CodeRefused, "update", "--now")
	s.expect(api.CodeRolledBack, "update", "--now", "--retry")
	s.expect(api.CodeRefused, "update", "--now")
	f.centre.pin(t, s.name, "1.1.0", source)
	s.must("update", "--now")
	f.centre.pin(t, s.name, "1.2.0", source)
	s.expect(api.CodeRolledBack, "update", "--now")
	s.sane("1.1.0")
}

func fromStick(t *testing.T, s *Site, line *Line, source string) {
	before := s.common()
	stick := filepath.Join(t.TempDir(), "emr-1.3.0.tgz")
	s.centre.pin(t, s.name, "1.3.0", source)
	line.cut()
	defer line.mend()
	s.centre.must(t, "bundle", "create", "--release", "1.3.0", "-o", stick)
	mentions(t, s.must("verify", stick), "1.3.0")
	w := s.watch()
	s.must("update", "--from", stick, "--now")
	away := w.only("1.1.0", "1.3.0", switching)
	s.sane("1.3.0")
	before.same(t, s.common(), "rows and files after the update from the stick")
	s.expect(api.CodeUnreachable, "update", "--now")
	figure(t, "1.1.0 to 1.3.0 from a stick: downtime %.1f s", away.Seconds())
}

func backWithData(t *testing.T, s *Site, before Data) {
	s.post("/patients", `{"name": "Typed on 1.3"}`)
	r := s.expect(api.CodeNotConfirmed, "rollback", "--to", "1.1.0", "--data", "restore")
	mentions(t, r, "1.1.0", "goes back to the data of", "will not be in the running system")
	s.sane("1.3.0")
	s.must("rollback", "--to", "1.1.0", "--data", "restore", "--yes")
	s.sane("1.1.0")
	before.same(t, s.data(), "data after going back with data")
	list := s.backups()
	if !slices.ContainsFunc(list, func(b api.Backup) bool { return b.Release == "1.3.0" && b.Restore && b.Bytes > 0 }) {
		t.Errorf("the present state was not saved first: %+v", list)
	}
}

func backKeeping(t *testing.T, s *Site) {
	s.post("/patients", `{"name": "Typed on 1.1 again"}`)
	before := s.common()
	s.must("rollback", "--to", "1.0.0", "--data", "keep", "--yes")
	s.sane("1.0.0")
	before.same(t, s.common(), "data after going back without data")
	if n := s.sql("select count(*) from patient where name = 'Typed on 1.1 again'"); n != "1" {
		t.Errorf("%s rows of the patient who was typed in last, want 1", n)
	}
}

// TestFolderSource updates from a folder that any web server or stick can hold.
func TestFolderSource(t *testing.T) {
	centre := ledgerCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "folder")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	s.sane("1.0.0")
	s.post("/entries", "typed before the update")
	centre.pin(t, s.name, "1.1.0", source)
	before := s.ledger()
	w := s.watch()
	s.must("update", "--now")
	w.only("1.0.0", "1.1.0", switching)
	s.sane("1.1.0")
	before.after("1.1.0").same(t, s.ledger(), "entries after the update")
	again := s.must("update", "--now")
	mentions(t, again, "1.1.0")
	if n := len(s.history()); n != 2 {
		t.Errorf("%d lines of history after an update with nothing to do, want 2", n)
	}
	s.explained()
}

// explained looks at the chain from the root of trust to the running images, also when somebody has put another image into the stack.
func (s *Site) explained() {
	t := s.t
	t.Helper()
	mentions(t, s.must("verify", "--explain"), "✓ root of trust  root 1, given at install", "✓ manifest       manifest ", "✓ this site      "+s.name+", ring pilot",
		"✓ known good     1.1.0, since ", "✓ release        1.1.0, document sha256:", "✓ container      "+s.project+"-", ", as the release says")

	// A name of an image that leads elsewhere: the next start by hand would take it.
	id := lines(s.docker("ps", "-aq", "--filter", "label=com.docker.compose.project="+s.project))[0]
	service := s.docker("inspect", "-f", `{{index .Config.Labels "com.docker.compose.service"}}`, id)
	right := s.docker("inspect", "-f", "{{.Image}}", id)
	tag, wrong := "", ""
	images := lines(s.docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", "dhow.local/*"))
	for _, line := range images {
		if name, image, _ := strings.Cut(line, " "); image == right {
			tag = name
		} else {
			wrong = image
		}
	}
	if tag == "" || wrong == "" {
		t.Fatalf("no image of the service %s, or no other one: %q", service, images)
	}
	s.docker("tag", wrong, tag)
	mentions(t, s.expect(5, "verify", "--explain"), "✗ image          the name "+tag+" leads to "+wrong+", not to "+right+": somebody has moved it",
		"the chain is broken at image")
	s.docker("tag", right, tag)
	s.must("verify", "--explain")

	// Containers that somebody has made by hand: one of another image, one of nothing that the release knows.
	label := "com.docker.compose.project=" + s.project
	for name, of := range map[string]string{"another": service, "stranger": "stranger"} {
		s.docker("create", "--name", s.project+"-"+name, "--label", label, "--label", "com.docker.compose.service="+of, wrong)
	}
	mentions(t, s.expect(5, "verify", "--explain", "--json"),
		s.project+"-another runs "+wrong+", and the release has "+right+" for service "+service,
		s.project+"-stranger is not of the release: service stranger runs "+wrong)
	s.docker("rm", "-f", s.project+"-another", s.project+"-stranger")
	s.must("verify", "--explain")
}

// memory is the resident memory of the agent in MB.
func (s *Site) memory() float64 { s.t.Helper(); return s.memoryAs("VmRSS") }

// peak is the most that it has been since the agent was started.
func (s *Site) peak() float64 { s.t.Helper(); return s.memoryAs("VmHWM") }

func (s *Site) memoryAs(name string) float64 {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.agent.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range lines(string(data)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, name+": %f kB", &kb); n == 1 {
			return kb * 1024 / 1e6
		}
	}
	s.t.Fatal("no " + name)
	return 0
}
