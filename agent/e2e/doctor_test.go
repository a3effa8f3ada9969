//go:build e2e

package e2e

import (
	"encoding/json"
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

// ailment is what the doctor has found.
type ailment struct{ Name, ID, Result, Text, Remedy string }

// doctor examines a site and returns what is not good.
func (s *Site) doctor(args ...string) (list []ailment) {
	s.t.Helper()
	var d struct{ Checks []ailment }
	r := s.run(append([]string{"doctor", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Out), &d); err != nil || len(d.Checks) < 15 {
		s.t.Fatalf("%v in %s", err, r)
	}
	for _, c := range d.Checks {
		if c.Result != "good" && c.Name != "memory" && c.Name != "disk" { // which are those of the machine that tests
			list = append(list, c)
		}
	}
	if bad := slices.ContainsFunc(list, func(a ailment) bool { return a.Result == "bad" }); bad != (r.Code == api.CodeUnwell) {
		s.t.Errorf("exit code %d with %+v", r.Code, list)
	}
	return list
}

// suffers expects exactly these findings.
func (s *Site) suffers(what string, list []ailment, ids ...string) {
	s.t.Helper()
	var got []string
	for _, a := range list {
		got = append(got, a.ID)
		if a.Remedy == "" && a.Result == "bad" {
			s.t.Errorf("%s: no remedy for %+v", what, a)
		}
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		s.t.Errorf("%s: found %q, want %q: %+v", what, got, ids, list)
	}
}

// TestDoctor makes a healthy clinic ill in one way after another, mends it, and sends what the centre needs.
func TestDoctor(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, clinicStack)
	// An image that no other test runs: it is taken out of the engine.
	variant(t, "dhow-clinic/gateway", "1.0", "1.0-ill", func(c *imageChange) { c.label = "ill" })
	own := centre.file(t, "own.yaml", "services: {gateway: {image: \"${REGISTRY}/dhow-clinic/gateway:1.0-ill\"}}\n")
	centre.release(t, "1.0.0", "1.0.0", "-f", own)
	centre.must(t, "key", "backup")
	source := folderSource(t)
	s := newSite(t, centre, "ill")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source, "--set", "CLINIC_ROWS=200", "--set", "CLINIC_MB=1")
	s.must("update", "--now")
	s.settled(time.Minute)
	s.suffers("healthy", s.doctor())

	step(t, "a lock that a killed migration has left")
	s.sql("replace into DATABASECHANGELOGLOCK (ID, LOCKED, LOCKGRANTED, LOCKEDBY) values (1, 1, '2026-11-21 21:04:00', '0123456789ab (172.18.0.99)')")
	list := s.doctor()
	s.suffers("a lock", list, "database.dead")
	if want := "a Liquibase lock row is left from 2026-11-21 21:04 in database openmrs (host 0123456789ab, not running)"; len(list) != 1 || list[0].Text != want {
		t.Errorf("%+v, want %q", list, want)
	}
	s.expect(api.CodeNotConfirmed, "doctor", "--fix", "migration-lock")
	s.suffers("nobody has agreed", s.doctor(), "database.dead")
	mentions(t, s.must("doctor", "--fix", "migration-lock", "--yes"), "Released the lock in database openmrs of service db.")
	s.suffers("released", s.doctor())
	mentions(t, s.must("doctor", "--fix", "migration-lock", "--yes"), "No migration has left a lock.")
	backend := s.container("backend")
	s.sql(fmt.Sprintf("update DATABASECHANGELOGLOCK set LOCKED = 1, LOCKGRANTED = now(), LOCKEDBY = '%.12s (172.18.0.3)'", backend))
	s.suffers("a migration is at work", s.doctor(), "database.working")
	s.expect(api.CodeRefused, "doctor", "--fix", "migration-lock", "--yes")
	s.sql("update DATABASECHANGELOGLOCK set LOCKED = 0, LOCKGRANTED = null, LOCKEDBY = null")

	step(t, "hands in the stack")
	s.docker("update", "--restart=no", backend)
	s.suffers("a policy", s.doctor(), "stack.policy")
	s.docker("update", "--restart=unless-stopped", backend)
	stranger := s.docker("run", "-d", "--network=none", "--label", "com.docker.compose.project="+s.project, "--label", "com.docker.compose.service=helper",
		"--entrypoint", "sleep", s.docker("inspect", "-f", "{{.Image}}", s.container("db")), "600")
	s.suffers("a stranger with data", s.doctor(), "stack.stranger", "volumes.anonymous")
	s.docker("rm", "-f", "-v", stranger)
	s.docker("stop", "-t", "1", s.container("gateway"))
	s.suffers("a stopped service", s.doctor(), "stack.stopped")

	step(t, "rot")
	settings := site.Paths{Prefix: s.prefix}.Settings()
	if err := os.Chmod(settings, 0o644); err != nil {
		t.Fatal(err)
	}
	blob := largestBlob(t, s)
	rot := read(t, blob)
	rot[len(rot)/2] ^= 4
	write(t, blob, rot)
	s.suffers("nobody has read it", s.doctor(), "stack.stopped", "settings.open")
	s.suffers("read", s.doctor("--deep"), "stack.stopped", "settings.open", "store.rotten")
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	image := s.docker("inspect", "-f", "{{.Image}}", s.container("gateway"))
	s.docker("rm", "-f", s.container("gateway"))
	s.docker("rmi", "-f", image)
	s.suffers("pruned", s.doctor(), "stack.missing", "settings.open", "store.missing", "images.pruned")
	s.stop()
	s.suffers("without an agent", s.doctor(), "stack.missing", "settings.open", "store.missing", "images.pruned", "agent.away")

	step(t, "what the centre gets")
	s.supported()
}

// supported plants secrets and data of patients, and looks for them in what support writes.
func (s *Site) supported() {
	s.t.Helper()
	planted := []string{"Tshilombo", "geheim99", "1987-03-04"}
	for _, v := range s.stack.settings {
		planted = append(planted, v)
	}
	s.sql("update patient set name = 'Espérance Tshilombo' limit 1")
	s.configure(func(c *site.Config) {
		c.Sources = append(c.Sources, "https://anna:geheim99@127.0.0.1:1/emr?token=geheim99")
	})
	log := filepath.Join(s.prefix, "var", "lib", "dhow", "log", "agent.log")
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(f, "time=%s level=ERROR msg=\"change ended\" reason=\"service backend ended with exit code 1: Duplicate entry 'Tshilombo' for key 'name', 1987-03-04, %s\"\n",
		time.Now().Format(time.RFC3339), s.stack.settings["OMRS_DB_PASSWORD"])
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
	out, dir := filepath.Join(s.t.TempDir(), "ill.age"), filepath.Join(s.t.TempDir(), "opened")
	mentions(s.t, s.must("support", "-o", out), out, "Only the central team can open it")
	if info, err := os.Stat(out); err != nil || info.Size() > 2<<20 || info.Mode().Perm() != 0o600 {
		s.t.Errorf("%v, %v", info, err)
	}
	s.centre.must(s.t, "support", "open", out, "-o", dir)
	all := ""
	for _, name := range []string{"README.json", "doctor.json", "status.json", "history.json", "containers.json", "machine.json", "configuration.json", "trust.json", "agent.log"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			s.t.Error(err)
		}
		all += string(data)
	}
	for _, p := range planted {
		if strings.Contains(all, p) {
			s.t.Errorf("%q is in what the centre gets", p)
		}
	}
	for _, want := range []string{"service backend ended with exit code 1: Duplicate entry '…' for key 'name', …, ***", `"id": "store.missing"`, `"service": "backend"`, `"MYSQL_ROOT_PASSWORD"`, "agent started"} {
		if !strings.Contains(all, want) {
			s.t.Errorf("%q is not in what the centre gets", want)
		}
	}
	if s.t.Failed() {
		s.t.Logf("%.20000s", all)
	}
}

// largestBlob is a layer in the store.
func largestBlob(t *testing.T, s *Site) (path string) {
	t.Helper()
	folder := filepath.Join(site.Paths{Prefix: s.prefix}.Store(), "blobs", "sha256")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > most {
			path, most = filepath.Join(folder, e.Name()), info.Size()
		}
	}
	return path
}
