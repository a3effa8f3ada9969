package update

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// emr is a fleet that pins 1.1.0 for kin-001. It is made once: keys are dear.
var emr struct {
	sync.Mutex
	root   []byte
	files  map[string][]byte
	signed time.Time // a noon
}

func emrFleet(t *testing.T) (f struct {
	root   []byte
	files  map[string][]byte
	signed time.Time
},
) {
	t.Helper()
	emr.Lock()
	defer emr.Unlock()
	if emr.files == nil {
		made := manifesttest.New(t, "emr")
		made.Now = made.Now.Truncate(24 * time.Hour).Add(36 * time.Hour)
		made.AddRelease("1.1.0", nil)
		made.Assign("kin-001", "pilot", "1.1.0")
		emr.files, emr.root, emr.signed = made.Publish(), made.Root, made.Now
	}
	f.root, f.files, f.signed = emr.root, emr.files, emr.signed
	return f
}

// lostSite is a site that runs 1.0.0, knows a manifest that was signed at the time floor, and has 1.1.0 ready.
func lostSite(t *testing.T, b site.Backup, window string) (m *Manager, now *time.Time, floor time.Time) {
	t.Helper()
	m, now = routineSite(t, b)
	f := emrFleet(t)
	floor, *now = f.signed, f.signed
	src := manifesttest.NewSource(f.files)
	m.Paths.Prefix = t.TempDir()
	if err := m.Paths.Make(); err != nil {
		t.Fatal(err)
	}
	c := m.Config
	c.Window, c.Backup = window, b
	if err := c.Save(m.Paths.Config()); err != nil {
		t.Fatal(err)
	}
	if err := trust.Init(m.Paths.Trust(), f.root); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.Trust, err = trust.Open(m.Paths.Trust(), trust.Options{Now: func() time.Time { return *now }}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Trust.Refresh(t.Context(), src, true); err != nil {
		t.Fatal(err)
	}
	_, d, err := m.Trust.Release(t.Context(), src, "1.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Journal.SetFact(factReady, Ready{Release: "1.1.0", Digest: d, Manifest: 1}); err != nil {
		t.Fatal(err)
	}
	m.Network, m.begun = fetch.NewNetwork(), time.Now()
	m.runner.Now = m.stamp
	return m, now, floor
}

// TestClocks: for every sort of clock, whether an update that is ready begins by itself, whether a backup does, and what status says.
func TestClocks(t *testing.T) {
	_, _, noon := lostSite(t, site.Backup{}, "00:00-24:00")
	wrong := func(says string) string {
		return "this computer's clock looks wrong: it says " + says + ", but it is at least " + noon.Format(time.DateOnly)
	}
	ahead := func(says string) string {
		return "this computer's clock looks wrong, unless nothing new has come since " + noon.Format(time.DateOnly) + ": it says " + says
	}
	eve := noon.Add(-14 * time.Hour)
	for _, c := range []struct {
		name         string
		now          time.Time
		hours, never bool // an update begins: at night, where there are hours; at any hour, where there are none
		warning      string
	}{
		{"1970", time.Unix(22*3600, 0), false, true, wrong("1970-01-01")},
		{"2000", time.Date(2000, 1, 1, 22, 0, 0, 0, time.UTC), false, true, wrong("2000-01-01")},
		{"a day before the floor", eve, false, true, wrong(eve.Format(time.DateOnly))},
		{"right, at night", noon.Add(10 * time.Hour), true, true, ""},
		{"right, by day", noon.Add(24 * time.Hour), false, true, ""},
		{"a year ahead", noon.AddDate(1, 0, 0).Add(10 * time.Hour), true, true, ahead(noon.AddDate(1, 0, 0).Format(time.DateOnly))},
		{"2038", time.Unix(1<<31, 0).Add(19 * time.Hour), true, true, ahead("2038-01-19")},
		{"2106", time.Unix(1<<32, 0).Add(16 * time.Hour), true, true, ahead("2106-02-07")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for window, want := range map[string]bool{"21:00-05:00": c.hours, "00:00-24:00": c.never} {
				m, now, floor := lostSite(t, site.Backup{}, window)
				*now = c.now
				if p, err := m.dueApply(); err != nil || (p != nil) != want {
					t.Errorf("hours %q: an update begins: %v, %v", window, p != nil, err)
				}
				w := texts(m.trustWarnings())
				if c.warning == "" && len(w) > 0 || c.warning != "" && !slices.Contains(w, c.warning) {
					t.Errorf("status warns %q", w)
				}
				if s := m.stamp(); s.Before(floor) || s.Before(c.now) {
					t.Errorf("history says %s", s)
				}
				// What a person orders is done with every clock.
				r, err := m.ready()
				if err != nil {
					t.Fatal(err)
				}
				r.Now = true
				if err := m.Journal.SetFact(factReady, r); err != nil {
					t.Fatal(err)
				}
				if p, err := m.dueApply(); err != nil || p == nil {
					t.Errorf("hours %q: what a person ordered waits: %v", window, err)
				}
			}
		})
	}
}

// TestBackupsWithoutAClock: a computer that is switched on for some hours a day, with the same wrong hour each time, makes a backup a day; one that
// hears the time soon after its start makes none before.
func TestBackupsWithoutAClock(t *testing.T) {
	m, now, floor := lostSite(t, site.Backup{At: "0 2 * * *", Drill: "0 3 * * *"}, "00:00-24:00")
	if err := m.Journal.SetFact(factReady, nil); err != nil {
		t.Fatal(err)
	}
	want := func(when, what string) {
		t.Helper()
		if got := m.next(t, nil); got != what {
			t.Fatalf("%s: got %q, want %q", when, got, what)
		}
	}
	if err := m.Journal.SetFact(factRoutine, Routine{Backup: floor, Drill: floor}); err != nil {
		t.Fatal(err)
	}
	boot := func(up time.Duration) { m.begun, m.backedUp = time.Now().Add(-up), time.Time{} }
	*now = time.Unix(0, 0)
	for range 3 {
		boot(10 * time.Minute)
		want("ten minutes after a start", "")
	}
	if !m.nextBackup().IsZero() {
		t.Errorf("status tells the hour of the next backup: %s", m.nextBackup())
	}
	boot(61 * time.Minute)
	want("an hour after a start", KindBackup)
	m.keep(t, "2026-11-21T120000-0001")
	want("at once again", "") // nor a trial
	m.backedUp = time.Now().Add(-25 * time.Hour)
	want("a day later", KindBackup)
	boot(10 * time.Minute)
	*now = floor.Add(2 * time.Hour) // somebody has set the clock
	want("the same day", "")
	*now = floor.Add(15 * time.Hour)
	want("after the next night", KindBackup)
	// Ahead: one backup more, then by the wrong clock; back again: one more.
	*now = floor.AddDate(1, 0, 0)
	want("a year ahead", KindBackup)
	want("a year ahead, again", KindDrill)
	want("a year ahead, once more", "")
	*now = floor.AddDate(0, 0, 2)
	want("back again", KindBackup)
	want("back again, the trial", KindDrill)
	want("back again, once more", "")
}

// TestAFailedBackupWithoutAClockWaits: the pause goes by the clock as it is.
func TestAFailedBackupWithoutAClockWaits(t *testing.T) {
	m, now, _ := lostSite(t, site.Backup{Drill: site.Never}, "00:00-24:00")
	*now = time.Unix(0, 0)
	m.begun = time.Now().Add(-2 * time.Hour)
	if got := m.next(t, &change.Cause{Class: change.ClassSpace, Message: "full"}); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	if got := m.next(t, nil); got != "" {
		t.Fatalf("tried again at once: %q", got)
	}
	*now = now.Add(pauseAfterBackup)
	if got := m.next(t, nil); got != KindBackup {
		t.Fatalf("not tried again: %q", got)
	}
}

// TestAgeWithAWrongClock: sixty backups of sixty nights, and then one of a clock that is years ahead.
func TestAgeWithAWrongClock(t *testing.T) {
	m, now, floor := lostSite(t, site.Backup{Keep: 100, Days: 10}, "00:00-24:00")
	name := func(i int) string { return fmt.Sprintf("2026-11-%02dT120000-%04d", 1+i, i+1) }
	for i := range 9 {
		*now = floor.AddDate(0, 0, -9+i)
		m.keep(t, name(i))
	}
	for years, drops := range map[int][]string{
		0:  nil,
		1:  {name(0), name(1), name(2), name(3), name(4)}, // a week, whatever the clock says
		50: {name(0), name(1), name(2), name(3), name(4)},
	} {
		*now = floor.AddDate(years, 0, 0)
		if got, err := m.outlived(true); err != nil || !slices.Equal(got, drops) {
			t.Errorf("%d years ahead: %q goes, want %q; %v", years, got, drops, err)
		}
	}
	*now = time.Unix(0, 0)
	if got, err := m.outlived(true); err != nil || got != nil {
		t.Errorf("1970: %q goes, %v", got, err)
	}
}

// TestJumpsInTheMiddleOfAnUpdate sets the clock between the closing and the opening of the doors.
func TestJumpsInTheMiddleOfAnUpdate(t *testing.T) {
	for _, to := range []time.Time{time.Unix(0, 0), time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<32, 0)} {
		m, now, floor := lostSite(t, site.Backup{}, "00:00-24:00")
		*now = floor.Add(time.Hour)
		c, err := m.runner.Start(KindApply, applyPlan{From: &Good{Release: "1.0.0"}, To: Good{Release: "1.1.0"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		closed := m.stamp()
		m.shut.begins(c, stepCloseDoors)
		*now = to
		if away := m.awayFor(c, time.Time{}); away != 0 {
			t.Errorf("to %s: away for %v where no doors were closed", to, away)
		}
		if away := m.awayFor(c, closed); away > time.Minute {
			t.Errorf("to %s: away for %v", to, away)
		}
		page, err := m.pageOf(c, closeNote{Closed: closed})
		if err != nil || time.Since(page.Started).Abs() > time.Minute {
			t.Errorf("to %s: the page counts from %s, %v", to, page.Started, err)
		}
		if m.restless.begins(c, "back-up") > time.Minute {
			t.Errorf("to %s: the data hold still no more", to)
		}
		err = m.disturbed(&change.Task{Change: c, Step: "back-up"}, errDisturbed)
		if retry := (*change.Retry)(nil); !errors.As(err, &retry) {
			t.Errorf("to %s: not tried again: %v", to, err)
		}
		if s := m.stamp(); s.Before(floor) {
			t.Errorf("to %s: history says %s", to, s)
		}
		// The agent is started anew: what the clock says is all that there is.
		m.shut = since{}
		if away := m.awayFor(c, closed); away < 0 || to.Before(floor) && away != 0 {
			t.Errorf("to %s: after a restart away for %v", to, away)
		}
	}
}

func TestPausesWithAWrongClock(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    time.Duration // when the pause was set, from now on
		begins bool
	}{
		{"now", 0, false},
		{"by a clock a year ahead", 365 * 24 * time.Hour, true},
		{"by a clock 50 years behind", -50 * 365 * 24 * time.Hour, true},
	} {
		m, now, _ := lostSite(t, site.Backup{}, "00:00-24:00")
		r, err := m.ready()
		if err != nil {
			t.Fatal(err)
		}
		r.NotBefore = now.Add(c.set).Add(pauseAfterDowntime)
		if err := m.Journal.SetFact(factReady, r); err != nil {
			t.Fatal(err)
		}
		if p, err := m.dueApply(); err != nil || (p != nil) != c.begins {
			t.Errorf("%s: begins %v, %v", c.name, p != nil, err)
		}
	}
}

func TestLossWithAWrongClock(t *testing.T) {
	m, now, floor := lostSite(t, site.Backup{}, "00:00-24:00")
	m.Engine = noEngine(t)
	made := floor.Add(-2 * time.Hour)
	for _, c := range []struct {
		now time.Time
		ago bool
	}{{floor, true}, {time.Unix(0, 0), false}} {
		*now = c.now
		lines, said := m.loss(t.Context(), Good{Release: "1.1.0", Project: "emr"}, made, nil)
		if text := lines[0]; len(said) != len(lines) || strings.Contains(text, "(2h0m0s ago)") != c.ago {
			t.Errorf("at %s: %s", c.now, text)
		}
	}
}

// noEngine is an engine that does not answer.
func noEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Connect("unix://" + t.TempDir() + "/none")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestLostManifest: what was lost stops nothing that goes on without it, and status says what is needed.
func TestLostManifest(t *testing.T) {
	m, _, _ := lostSite(t, site.Backup{Drill: site.Never}, "00:00-24:00")
	roots := m.Trust.Roots()
	if err := trust.Restore(m.Paths.Trust(), roots); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.Trust, err = trust.Open(m.Paths.Trust(), trust.Options{Now: m.Now, Seen: 7}); err != nil {
		t.Fatal(err)
	}
	if err := m.Journal.SetFact(factSeen, Witness{Number: 7}); err != nil {
		t.Fatal(err)
	}
	if p, err := m.dueApply(); err != nil || p != nil {
		t.Errorf("an update begins without a manifest: %v, %v", p, err)
	}
	if got := m.next(t, nil); got != KindBackup {
		t.Errorf("no backup without a manifest: %q", got)
	}
	want := []string{"the signed manifest was lost from this disk: what runs goes on, and manifest 7 or a newer one is taken from a source, " +
		"or from a stick with: dhow update --from PATH"}
	if got := texts(m.trustWarnings()); !slices.Equal(got, want) {
		t.Errorf("status warns %q", got)
	}
}

// texts are the English texts of sentences, each of which has others.
func texts(list []told) (english []string) {
	for _, w := range list {
		if w.said == nil || w.said.Kind == "" {
			panic("there are no words for " + w.text)
		}
		english = append(english, w.text)
	}
	return english
}
