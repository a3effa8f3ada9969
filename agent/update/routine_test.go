package update

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/journal"
	"dhow/agent/site"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// routineSite is a manager of a site that runs 1.0.0, with a journal, an archive and a clock, and without an engine.
func routineSite(t *testing.T, b site.Backup) (*Manager, *time.Time) {
	t.Helper()
	m := settled(t, nil)
	m.Config.Backup, m.Config.TimeZone = b, "UTC"
	if err := m.Config.Save(m.Paths.Config()); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.Journal, err = journal.Open(m.Paths.Journal()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Journal.Close() })
	if m.Archive, err = archive.Open(m.Paths.Archive()); err != nil {
		t.Fatal(err)
	}
	if err := trust.Init(m.Paths.Trust(), emrFleet(t).root); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	if m.Trust, err = trust.Open(m.Paths.Trust(), trust.Options{Now: func() time.Time { return now }}); err != nil {
		t.Fatal(err)
	}
	m.Now, m.Log = func() time.Time { return now }, slog.New(slog.DiscardHandler)
	m.wake = make(chan struct{}, 1)
	m.runner = &change.Runner{Kinds: m.kinds(), Journal: m.Journal, Now: m.Now}
	if err := m.Journal.SetFact(factGood, Good{Release: "1.0.0", Project: "emr"}); err != nil {
		t.Fatal(err)
	}
	return m, &now
}

// keep puts a portable backup into the archive.
func (m *Manager) keep(t *testing.T, name string) {
	t.Helper()
	_, err := m.Archive.Create(t.Context(), archive.Contents{
		Record: archive.Record{Name: name, Site: "kin-001", Made: m.now()},
		Files:  []archive.File{{Name: backupMeta, Write: func(w io.Writer) error { _, err := io.WriteString(w, "{}"); return err }}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// next lets the schedule begin what is due, and ends that at once as cause says; it answers the kind, "" for nothing.
func (m *Manager) next(t *testing.T, cause *change.Cause) string {
	t.Helper()
	c, err := m.startRoutine(true)
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return ""
	}
	c.Finished, c.Cause = m.now(), cause
	facts := map[string]any{}
	if cause != nil && m.runner.Kinds[c.Kind].Ended != nil {
		facts = m.runner.Kinds[c.Kind].Ended(c)
	}
	if cause == nil {
		for i := range c.Steps {
			c.Steps[i].Status = change.StepDone
		}
	}
	if err := m.Journal.Save(c, nil); err != nil {
		t.Fatal(err)
	}
	for name, v := range facts {
		if err := m.Journal.SetFact(name, v); err != nil {
			t.Fatal(err)
		}
	}
	return c.Kind
}

func TestBackupsComeByThemselves(t *testing.T) {
	m, now := routineSite(t, site.Backup{At: "0 2 * * *", Drill: site.Never})
	want := func(what string, cause *change.Cause) {
		t.Helper()
		if got := m.next(t, cause); got != what {
			t.Fatalf("at %s: got %q, want %q", now.Format(time.DateTime), got, what)
		}
	}
	want(KindBackup, nil) // the first one at once
	want("", nil)
	*now = now.Add(13 * time.Hour) // 01:00
	want("", nil)
	*now = now.Add(90 * time.Minute) // the site's own minute after 02:00 has passed
	want(KindBackup, &change.Cause{Class: change.ClassSpace, Message: "full"})
	if r, err := m.routine(); err != nil || r.Failed != "full" {
		t.Fatalf("%+v %v", r, err)
	}
	want("", nil)
	*now = now.Add(pauseAfterBackup)
	want(KindBackup, &change.Cause{Class: change.ClassReplaced})
	want(KindBackup, nil) // what gave way comes again at once
	*now = now.AddDate(0, 0, -3000)
	want(KindBackup, nil) // the clock was wrong: the record lies in the future
	*now = now.AddDate(0, 0, 9)
	want(KindBackup, nil) // it was off for nine days
	want("", nil)
}

func TestCopiesFollowBackups(t *testing.T) {
	m, now := routineSite(t, site.Backup{At: site.Never, Drill: site.Never, Copies: []string{"/media/backup"}})
	if got := m.next(t, nil); got != "" {
		t.Fatalf("%q without a backup", got)
	}
	m.keep(t, "2026-11-21T020000-0001")
	if got := m.next(t, &change.Cause{Class: change.ClassNetwork, Message: "the stick is away"}); got != KindExport {
		t.Fatalf("got %q", got)
	}
	if got := m.next(t, nil); got != "" {
		t.Fatalf("tried again at once: %q", got)
	}
	var s api.Status
	if err := m.statusOfBackups(t.Context(), &found{Status: &s}); err != nil || len(s.Warnings) != 1 ||
		s.Warnings[0] != "no copy of the backups in /media/backup: the stick is away" {
		t.Fatalf("%v %v", s.Warnings, err)
	}
	*now = now.Add(pauseAfterCopy)
	if got := m.next(t, nil); got != KindExport {
		t.Fatalf("not tried again: %q", got)
	}
}

func TestTrialsComeInTheWindow(t *testing.T) {
	m, now := routineSite(t, site.Backup{At: site.Never, Drill: "0 3 1 * *"})
	m.keep(t, "2026-11-21T020000-0001")
	if err := m.Journal.SetFact(factRoutine, Routine{Drill: *now}); err != nil {
		t.Fatal(err)
	}
	c := m.config()
	c.Window = "21:00-05:00"
	if err := c.Save(m.Paths.Config()); err != nil {
		t.Fatal(err)
	}
	*now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC) // off at three, on at noon
	if got := m.next(t, nil); got != "" {
		t.Fatalf("%q while people work", got)
	}
	*now = time.Date(2026, 12, 1, 22, 0, 0, 0, time.UTC)
	if got := m.next(t, &change.Cause{Class: change.ClassReplaced}); got != KindDrill {
		t.Fatalf("got %q", got)
	}
	if got := m.next(t, nil); got != KindDrill {
		t.Fatalf("a trial that had to give way is forgotten: %q", got)
	}
	if got := m.next(t, nil); got != "" {
		t.Fatalf("got %q", got)
	}
}

func TestErrandsGiveWay(t *testing.T) {
	m, _ := routineSite(t, site.Backup{})
	c, err := m.startRoutine(true)
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	m.mu.Lock()
	err = m.free(order{})
	m.mu.Unlock()
	if err != nil {
		t.Fatalf("a person has to wait for the schedule: %v", err)
	}
	c, err = m.Journal.Change(c.ID)
	if err != nil || c.Cause == nil || c.Cause.Class != change.ClassReplaced {
		t.Fatalf("%+v %v", c, err)
	}
	c.Finished = m.now()
	if err := m.Journal.Save(c, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Backup(t.Context(), api.BackupRequest{Action: api.BackupCreate}); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	err = m.free(order{update: &api.UpdateRequest{From: "/media/usb"}})
	m.mu.Unlock()
	if api.Code(err) != api.CodeBusy {
		t.Fatalf("what a person has ordered gave way: %v", err)
	}
	for _, r := range []api.BackupRequest{{Action: "burn"}, {Action: api.BackupDelete, Name: "2026"}, {Action: api.BackupDelete, Name: "../.."}} {
		if _, err := m.Backup(t.Context(), r); api.Code(err) != api.CodeUsage {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestBackupsAreNewerThanThoseBefore(t *testing.T) {
	m, now := routineSite(t, site.Backup{})
	m.keep(t, "2026-11-21T120000-0001")
	*now = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC) // the battery of the clock is empty
	made, err := m.backupTime()
	if want := time.Date(2026, 11, 21, 12, 0, 1, 0, time.UTC); err != nil || !made.Equal(want) {
		t.Fatalf("got %v %v, want %v", made, err, want)
	}
}

func TestFailedRestoreOfANewComputerWaits(t *testing.T) {
	m, now := routineSite(t, site.Backup{})
	if err := m.Journal.SetFact(factReady, Ready{Release: "1.0.0", Now: true, Archive: "b"}); err != nil {
		t.Fatal(err)
	}
	c := &change.Change{
		Kind: KindRestore, Plan: []byte(`{"to":{"release":"1.0.0"},"archive":"b"}`), Cause: &change.Cause{Class: change.ClassSite},
		Steps: []change.StepState{{Name: stepCloseDoors, Status: change.StepUndone}, {Name: stepStartRelease, Status: change.StepUndone}},
	}
	r, ok := m.applyEnded(c)[factReady].(*Ready)
	if !ok || r.Now || !r.NotBefore.Equal(now.Add(pauseAfterRefusal)) || r.Archive != "b" {
		t.Fatalf("%+v", r)
	}
	c.Plan = []byte(`{"from":{"release":"1.0.0"},"to":{"release":"1.0.0"},"archive":"b"}`)
	if facts := m.applyEnded(c); facts != nil {
		t.Fatalf("a person's restore is repeated: %+v", facts)
	}
}

func TestOtherFoldersBelongToBackups(t *testing.T) {
	there, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	m, _ := routineSite(t, site.Backup{Folders: []string{there, gone}})
	if _, err := m.otherFolders(false); err == nil || !strings.Contains(err.Error(), gone+" is not there") {
		t.Fatalf("got %v", err)
	}
	trees, err := m.otherFolders(true)
	if err != nil || len(trees) != 1 || trees[0] != (backup.Tree{Name: bindName(there), Path: there}) {
		t.Fatalf("%v %v", trees, err)
	}
	inner := backup.Tree{Name: "inner", Path: filepath.Join(there, "inner")}
	if got := withoutTwins(append(trees, inner, trees[0])); len(got) != 1 || got[0].Path != there {
		t.Fatalf("%v", got)
	}
}

func TestVolumesOfServersAreNotCopied(t *testing.T) {
	dir := t.TempDir()
	volume := func(name, mark string) backup.Tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(path, mark)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, mark), []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return backup.Tree{Name: name, Path: path}
	}
	mysql, pg := volume("mysql", "ibdata1"), volume("pg", "15/main/PG_VERSION")
	dumps, shared := volume("initdb", "schema.sql"), volume("shared", "ibdata1")
	mount := func(t backup.Tree) engine.Mount { return engine.Mount{Type: "volume", Name: t.Name, Source: t.Path} }
	containers := []engine.Container{
		{Service: "db", Mounts: []engine.Mount{mount(mysql), mount(dumps), mount(shared)}},
		{Service: "pg", Mounts: []engine.Mount{mount(pg)}},
		{Service: "app", Mounts: []engine.Mount{mount(shared)}},
		{Service: "exporter", Mounts: []engine.Mount{{Type: "volume", Name: mysql.Name, Source: mysql.Path, ReadOnly: true}}},
	}
	r := &manifest.Release{Databases: []manifest.Database{{Service: "db"}, {Service: "pg"}}}
	for tree, want := range map[*backup.Tree]string{&mysql: "db", &pg: "pg", &dumps: "", &shared: ""} {
		if got := dumpedInto(*tree, containers, r); got != want {
			t.Errorf("%s: got %q, want %q", tree.Name, got, want)
		}
	}
	if !holdsDatabase(shared.Path, 2) || holdsDatabase(dumps.Path, 2) {
		t.Error("files of servers are not recognised")
	}
	if err := empty(pg.Path); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(pg.Path); err != nil || len(left) != 0 {
		t.Fatalf("%v %v", left, err)
	}
}
