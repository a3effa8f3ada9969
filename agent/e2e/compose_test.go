//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestOtherCompose looks at a site with a docker compose of another version: it sees the project and would change nothing.
func TestOtherCompose(t *testing.T) {
	if world.compose == "" {
		t.Fatal("DHOW_E2E_COMPOSE is not set: run these tests with scripts/test")
	}
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "other-compose")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source, "--set", "CLINIC_ROWS=500", "--set", "CLINIC_MB=2")
	s.must("update", "--now")
	step(t, "after the first release")
	s.handMade(t)
	centre.pin(t, s.name, "1.1.0", source)
	s.must("update", "--now")
	step(t, "after an update")
	s.handMade(t)
	s.sane("1.1.0")
}

// handMade runs the other compose as a technician at the site would, in the folder that the containers' labels name.
func (s *Site) handMade(t testing.TB) {
	t.Helper()
	label := func(name string) string {
		return s.docker("inspect", "-f", `{{index .Config.Labels "com.docker.compose.`+name+`"}}`, s.container(s.stack.entry))
	}
	dir := label("project.working_dir")
	compose := func(args ...string) Result {
		t.Helper()
		r := command(t, dir, nil, world.compose, append([]string{"-p", s.project}, args...)...)
		if r.Code != 0 {
			t.Fatal(r)
		}
		return r
	}
	seen := compose("ps", "--format", "{{.Service}} {{.State}}")
	for _, service := range s.stack.services {
		mentions(t, seen, service+" running")
	}
	mentions(t, compose("ls", "--format", "json"), s.project)

	// As the labels say: these files, in this folder, with the .env that stands there.
	var args []string
	for _, file := range strings.Split(label("project.config_files"), ",") {
		args = append(args, "-f", file)
	}
	hashes := map[string]string{}
	for _, line := range lines(compose(append(args, "config", "--hash", "*")...).Out) {
		service, hash, _ := strings.Cut(line, " ")
		hashes[service] = hash
	}
	before := s.containers()
	for _, c := range before {
		got := docker(t, "inspect", "-f", `{{index .Config.Labels "com.docker.compose.config-hash"}}`, c.ID)
		if want := hashes[c.Service]; want == "" || got != want {
			t.Errorf("service %s: config hash %s, the other compose computes %q", c.Service, got, want)
		}
	}
	dry := compose(append(args, "--dry-run", "up", "-d", "--pull", "never")...)
	for _, word := range []string{"Recreate", "Creating", "Created"} {
		if strings.Contains(dry.Text(), word) {
			t.Errorf("the other compose would change something: %s", dry)
		}
	}
	compose(append(args, "up", "-d", "--pull", "never")...)
	unchanged(t, before, s.containers())
}

// unchanged fails the test unless the containers are the same and have not been started again.
func unchanged(t testing.TB, before, after []Container) {
	t.Helper()
	was := map[string]Container{}
	for _, c := range before {
		was[c.Service] = c
	}
	if len(before) != len(after) {
		t.Errorf("%d containers before, %d after", len(before), len(after))
	}
	for _, c := range after {
		if old := was[c.Service]; old.ID != c.ID || old.Started != c.Started {
			t.Errorf("service %s was recreated or restarted", c.Service)
		}
	}
}

// TestAdopt takes over a stack that somebody started by hand, without restarting it, and updates it: its volumes stay in use.
func TestAdopt(t *testing.T) {
	if world.compose == "" {
		t.Fatal("DHOW_E2E_COMPOSE is not set: run these tests with scripts/test")
	}
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "adopt")
	dir := filepath.Join(s.prefix, "opt", "emr")
	if err := os.CopyFS(dir, os.DirFS(clinicStack.folder())); err != nil {
		t.Fatal(err)
	}
	env := "COMPOSE_PROJECT_NAME=" + s.project + "\nREGISTRY=" + world.registry + "\nTAG=1.0.0\nCLINIC_ROWS=500\nCLINIC_MB=2\n" +
		"GATEWAY_PORT=" + strconv.Itoa(s.port) + "\nOMRS_DB_PASSWORD=by-hand\nMYSQL_ROOT_PASSWORD=by-hand-too\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, dir, nil, world.compose, "up", "-d", "--wait")
	if r.Code != 0 {
		t.Fatal(r)
	}
	s.post("/patients", `{"name": "Typed before Dhow came"}`)
	before, common := s.containers(), s.common()

	step(t, "taking over")
	centre.pin(t, s.name, "1.1.0", source)
	s.must("install", "--site", s.name, "--source", source, "--root", centre.root(), "--adopt", dir, "--yes")
	s.start()
	s.settled(time.Minute)
	unchanged(t, before, s.containers())
	common.same(t, s.common(), "data after taking over")

	step(t, "the first update")
	w := s.watch()
	s.must("update", "--now")
	w.only("1.0.0", "1.1.0", switching)
	s.sane("1.1.0")
	common.same(t, s.common(), "rows and files after the first update")
	if n := s.sql("select count(*) from patient where name = 'Typed before Dhow came'"); n != "1" {
		t.Errorf("%s rows of the patient who was typed in before, want 1", n)
	}
}
