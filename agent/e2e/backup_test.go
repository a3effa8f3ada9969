//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// portable lists the portable backups, newest first.
func (s *Site) portable() (list []api.Backup) {
	s.t.Helper()
	for _, b := range s.backups() {
		if b.Sort == api.BackupPortable {
			list = append(list, b)
		}
	}
	return list
}

// backup makes a portable backup and answers its line.
func (s *Site) backup() api.Backup {
	s.t.Helper()
	before := len(s.portable())
	s.must("backup", "create")
	list := s.portable()
	if len(list) != before+1 || list[0].Trouble != "" || list[0].Bytes == 0 {
		s.t.Fatalf("backups after one was made: %+v", list)
	}
	return list[0]
}

// trials lists what a trial restore would leave behind. Things of other sites come and go meanwhile.
func (s *Site) trials() (list []string) {
	s.t.Helper()
	trial := "name=dhow-drill-" + s.project + "-"
	list = append(list, lines(s.docker("ps", "-a", "--filter", trial, "--format", "container {{.Names}}"))...)
	list = append(list, lines(s.docker("volume", "ls", "--filter", trial, "--format", "volume {{.Name}}"))...)
	list = append(list, lines(s.docker("network", "ls", "--filter", trial, "--format", "network {{.Name}}"))...)
	entries, _ := filepath.Glob(filepath.Join(site.Paths{Prefix: s.prefix}.State(), "trial", "*"))
	return append(list, entries...)
}

// TestBackup makes, lists, tries, restores, damages and deletes portable backups of a site that runs.
func TestBackup(t *testing.T) {
	t.Parallel()
	centre := clinicCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "backup")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	mentions(t, s.expect(api.CodeRefused, "backup", "create"), "nothing to back up")
	s.must("update", "--now")
	s.settled(time.Minute)

	step(t, "a first backup, and a second one that is small")
	started := s.containers()
	full := s.backup()
	s.post("/patients", `{"name": "Typed before the second backup"}`)
	second := s.backup()
	then, seen := s.data(), s.seen()
	if second.Stored*10 > full.Stored {
		t.Errorf("the second backup added %d bytes, the first %d", second.Stored, full.Stored)
	}
	if now := s.containers(); fmt.Sprint(now) != fmt.Sprint(started) {
		t.Errorf("backups have touched the system: %v, before %v", now, started)
	}
	figure(t, "portable backup of the clinic: %.1f MB of data, %.1f MB stored, a second one %.2f MB", float64(full.Bytes)/1e6,
		float64(full.Stored)/1e6, float64(second.Stored)/1e6)
	mentions(t, s.must("backup", "list"), full.Name, second.Name, "dump db", "clinic-data")
	mentions(t, s.must("backup", "verify"), "every byte")
	if b := s.portable()[0]; b.Verified == nil {
		t.Errorf("not marked as verified: %+v", b)
	}

	step(t, "a trial restore beside the running system")
	mentions(t, s.must("backup", "verify", "--drill"), second.Name, "works")
	if st := s.status(); st.LastDrill == nil || !st.LastDrill.OK || st.LastDrill.Backup != second.Name {
		t.Errorf("status does not tell of the trial: %+v", st.LastDrill)
	}
	if left := s.trials(); len(left) > 0 {
		t.Errorf("the trial left behind %v", left)
	}
	if now := s.containers(); fmt.Sprint(now) != fmt.Sprint(started) {
		t.Errorf("the trial has touched the system: %v, before %v", now, started)
	}
	then.same(t, s.data(), "data after the trial")

	step(t, "restored into the running system, when that is confirmed")
	s.post("/patients", `{"name": "Typed after the backup"}`)
	s.post("/attachments?patient=9&name=after.jpg", strings.Repeat("scan ", 1000))
	later := s.data()
	mentions(t, s.expect(api.CodeNotConfirmed, "backup", "restore", second.Name), "will not be in the running system")
	later.same(t, s.data(), "data when nobody confirmed")
	s.must("backup", "restore", second.Name, "--yes")
	s.settled(time.Minute)
	s.sane("1.0.0")
	then.same(t, s.data(), "data after the restore")
	seen.same(t, s.seen(), "what the application reads after the restore")
	if u := s.last(); u.Kind != "restore" || u.Result != api.ResultDone || u.Backup == "" {
		t.Errorf("history: %+v", u)
	}

	step(t, "what was there before the restore is kept, and comes back")
	s.must("backup", "restore", s.last().Backup, "--yes")
	s.settled(time.Minute)
	s.sane("1.0.0")
	later.same(t, s.data(), "data from before the restore")

	step(t, "the newest one and what a rollback needs stay")
	mentions(t, s.expect(api.CodeRefused, "backup", "delete", second.Name), "newest")
	mentions(t, s.expect(api.CodeRefused, "backup", "delete", s.last().Backup), "rollback")
	s.must("backup", "delete", full.Name)
	mentions(t, s.expect(api.CodeUsage, "backup", "delete", full.Name), "there is no backup")
	s.must("backup", "verify", second.Name)

	step(t, "a flipped bit is found, and nothing is restored from it")
	flipped(t, s, second)
	later.same(t, s.data(), "data when the backup is damaged")
	s.sane("1.0.0")
	third := s.backup()
	s.must("backup", "verify", third.Name)

	step(t, "a database that is broken comes back from its dump")
	s.docker("kill", s.container("db"))
	for _, name := range []string{"ibdata1", "aria_log_control"} {
		if err := os.Truncate(filepath.Join(s.volume("db-data"), name), 100); err != nil {
			t.Fatal(err)
		}
	}
	s.must("backup", "restore", third.Name, "--yes")
	s.settled(time.Minute)
	s.sane("1.0.0")
	later.same(t, s.data(), "data after the database was broken")
}

// flipped damages every pack of the archive, and expects that a verification and a restore say so before anything is touched.
func flipped(t *testing.T, s *Site, b api.Backup) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(site.Paths{Prefix: s.prefix}.Archive(), "packs", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("no packs in the archive (%v)", err)
	}
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var one [1]byte
		if _, err := f.ReadAt(one[:], info.Size()/3); err != nil {
			t.Fatal(err)
		}
		one[0] ^= 0x10
		if _, err := f.WriteAt(one[:], info.Size()/3); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w := s.watch()
	mentions(t, s.expect(api.CodeNotTrusted, "backup", "verify", b.Name), "damaged")
	s.expect(api.CodeNotTrusted, "backup", "restore", b.Name, "--yes")
	s.settled(time.Minute)
	if story := w.end(); strings.Contains(story, sawMaintenance) || strings.Contains(story, sawNothing) {
		t.Errorf("users were kept out for a backup that can't be restored: %s", story)
	}
}

// TestScheduledBackups lets the schedule make backups, remove old ones and copy them out.
func TestScheduledBackups(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, ledgerStack)
	centre.release(t, "1.0.0", "1.0.0")
	centre.must(t, "key", "backup")
	s := newSite(t, centre, "nightly")
	source, stick := folderSource(t), folderSource(t)
	s.centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.configure(func(c *site.Config) {
		c.Backup = site.Backup{At: "* * * * *", Keep: 1, Drill: site.Never, Copies: []string{stick}}
	})
	s.must("update", "--now")
	var first string
	poll(t, time.Minute, "the first backup", func() (bool, string) {
		list := s.portable()
		if len(list) > 0 {
			first = list[0].Name
		}
		return len(list) > 0, s.tail()
	})
	poll(t, 3*time.Minute, "the next one to take its place", func() (bool, string) {
		list := s.portable()
		return len(list) == 1 && list[0].Name != first, fmt.Sprint(list) + s.tail()
	})
	st := s.settled(time.Minute)
	if st.LastBackup == nil || st.NextBackup == nil || !strings.Contains(fmt.Sprint(st.Warnings), "no copy of the backups in "+stick) {
		t.Errorf("status of a site whose stick was never marked as a place: %+v", st)
	}
	s.configure(func(c *site.Config) { c.Backup.At = site.Never })
	s.settled(time.Minute)
	s.must("backup", "export", "--to", stick)
	s.must("backup", "create")
	newest := s.portable()[0]
	poll(t, time.Minute, "a copy of the newest backup", func() (bool, string) {
		list := s.portable()
		return list[0].Name == newest.Name && len(list[0].Copies) == 1, fmt.Sprint(list) + s.tail()
	})
	s.settled(time.Minute)
	s.sane("1.0.0")
}

// TestNewComputer burns a server and builds it anew on another one, from two sticks, with no network and an engine that is empty.
func TestNewComputer(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, clinicStack)
	centre.release(t, "1.0.0", "1.0.0")
	centre.must(t, "key", "backup")
	source, stick, bundle := folderSource(t), folderSource(t), filepath.Join(t.TempDir(), "emr.tgz")
	s := newSite(t, centre, "burnt")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	s.settled(time.Minute)
	s.post("/patients", `{"name": "Mme Espérance Tshilombo"}`)
	centre.must(t, "bundle", "create", "--release", "1.0.0", "-o", bundle)

	step(t, "copied out, and unreadable for whoever finds the stick")
	made := s.backup()
	mentions(t, s.must("backup", "export", "--to", stick), made.Name, "encrypted")
	mentions(t, s.must("backup", "export", "--to", stick), made.Name)
	unreadable(t, stick, "Tshilombo", s.stack.settings["OMRS_DB_PASSWORD"])
	if list := s.portable(); len(list[0].Copies) != 1 || list[0].Copies[0] != stick {
		t.Errorf("the list does not tell of the copy: %+v", list)
	}
	then, seen := s.data(), s.seen()
	key := filepath.Join(centre.dir, "keys", "backup.key")
	s.remove()
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}

	step(t, "built anew on another computer")
	again := &Site{
		t: t, centre: centre, stack: s.stack, name: s.name, prefix: filepath.Join(world.temp, "rebuilt"), project: s.project, port: s.port,
		engine: newEngine(t, ""),
	}
	if err := os.Mkdir(again.prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	again.log = filepath.Join(again.prefix, "agent.log")
	t.Cleanup(again.remove)
	install := func(env string, more ...string) Result {
		args := append([]string{
			"--prefix", again.prefix, "install", "--site", s.name, "--restore", stick, "--from", bundle, "--root", centre.root(), "--yes",
			"--engine", again.engine.Host(),
		}, more...)
		return command(t, again.prefix, []string{"DHOW_PASSPHRASE=" + env}, world.dhow, args...)
	}
	other := install("correct horse battery", "--identity", key, "--site", "elsewhere")
	if other.Code == 0 {
		t.Errorf("the backup of another site was taken: %s", other)
	}
	if wrong := install("wrong", "--identity", key); wrong.Code != api.CodeUsage {
		t.Errorf("wrong passphrase: %s", wrong)
	}
	if r := install("correct horse battery", "--identity", key); r.Code != 0 {
		t.Fatal(r)
	}
	began := time.Now()
	again.start()
	poll(t, 4*time.Minute, "the site to run again", func() (bool, string) {
		st := again.status()
		return st.Release == "1.0.0" && st.State == api.StateIdle, fmt.Sprintf("%+v %s", st, again.tail())
	})
	figure(t, "a burnt server runs again after %.0f s, offline, from two sticks", time.Since(began).Seconds())
	again.sane("1.0.0")
	then.same(t, again.data(), "data on the new computer")
	seen.same(t, again.seen(), "what the application reads on the new computer")
	if u := again.last(); u.Kind != "restore" || u.Result != api.ResultDone {
		t.Errorf("history: %+v", u)
	}
}

// unreadable looks for words in everything at a place.
func unreadable(t *testing.T, place string, words ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(place, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for _, w := range words {
			if strings.Contains(string(data), w) {
				t.Errorf("%s holds %q", path, w)
			}
		}
		return err
	})
	if err != nil || files < 3 {
		t.Fatalf("%d files in %s (%v)", files, place, err)
	}
}
