package self

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// swapped is a computer on which a new program has proven itself and was put in place, and has run for the first time.
func swapped(t *testing.T, how string) (*computer, Program) {
	t.Helper()
	c := newComputer(t)
	p := c.trial(t, how)
	c.end(t)
	if got := c.runs(t, p); got != "2.0.0" {
		t.Fatalf("%s is in place", got)
	}
	return c, p
}

// end starts the service, and returns what it says until it ends, well or not.
func (c *computer) end(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(c.program, "agent", c.folder).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func (c *computer) state(t *testing.T) State {
	t.Helper()
	s, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// change writes the state anew.
func (c *computer) change(t *testing.T, how func(*State)) {
	t.Helper()
	s := c.state(t)
	how(&s)
	if err := c.save(s); err != nil {
		t.Fatal(err)
	}
}

// A program that crashes as soon as it does the real work is taken back at the start after its third crash, and not tried again.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	for how, last := range map[string]string{"later": "panic: no such table: sticks", "failing": "cannot open the journal: no such bucket"} {
		site, p := swapped(t, how)
		for n := 1; n < maxBadEnds; n++ {
			site.end(t)
			if s := site.state(t); s.Probation == nil || s.Probation.BadEnds != n || s.Failed != nil || site.runs(t, p) != "2.0.0" {
				t.Fatalf("%s: after start %d: %+v", how, n+1, s.Probation)
			}
		}
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.0.0 pid ") || site.runs(t, p) != "1.0.0" {
			t.Errorf("%s: %s", how, said)
		}
		s := site.state(t)
		reason := "it ended badly 3 times before it had worked for 10m0s: " + last
		if s.Last == nil || s.Last.Result != TakenBack || s.Last.Reason != reason || s.Last.From != "1.0.0" || s.Last.To != "2.0.0" || s.Last.Change != 7 {
			t.Errorf("%s: %+v", how, s.Last)
		}
		if s.Failed == nil || s.Failed.Program != p || s.Failed.Reason != reason || s.Trial != nil || s.Probation != nil {
			t.Errorf("%s: %+v, failed %+v", how, s, s.Failed)
		}
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.0.0 pid ") {
			t.Errorf("%s: started again: %s", how, said)
		}
	}
}

// An end that was asked for, a power cut and a second process by hand are no bad ends; a kill is one.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	site, _ := swapped(t, "good")
	for range maxBadEnds + 1 {
		site.boot(t)
	}
	if s := site.state(t); s.Probation == nil || s.Probation.BadEnds != 0 || s.Probation.Running != nil {
		t.Fatalf("stopped: %+v", s.Probation)
	}

	site = newComputer(t)
	p := site.trial(t, "working")
	for n := range 2 * maxBadEnds { // every other one with the power
		cmd := exec.Command(site.program, "agent", site.folder)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool {
			s, err := site.State()
			return err == nil && s.Probation != nil && s.Probation.Running != nil && s.Probation.Running.PID == cmd.Process.Pid
		})
		if n == 0 { // while it is at work
			other := New(quick(site.program, site.folder, "2.0.0"))
			before := *site.state(t).Probation.Running
			for range maxBadEnds {
				if next := other.Start(context.Background()); next != Run {
					t.Errorf("a second process: %v", next)
				}
				other.Ended(nil)
			}
			if s := site.state(t); s.Probation.BadEnds != 0 || s.Probation.Running == nil || *s.Probation.Running != before {
				t.Errorf("a second process: %+v", s.Probation)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if n%2 == 0 {
			site.change(t, func(s *State) { s.Probation.Running.Boot = "01234567-89ab-cdef-0123-456789abcdef" })
		}
		if s := site.state(t); s.Probation.BadEnds != n/2 || site.runs(t, p) != "2.0.0" {
			t.Fatalf("after %d: %+v", n, s.Probation)
		}
	}
	if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.0.0") {
		t.Errorf("after %d kills: %s", maxBadEnds, said)
	}
	if s := site.state(t); s.Last.Reason != "it ended badly 3 times before it had worked for 10m0s" {
		t.Errorf("%+v", s.Last)
	}
}

// Real work for long enough ends the probation, whatever has happened before.
func TestProbationEnds(t *testing.T) {
	t.Parallel()
	site, p := swapped(t, "later")
	site.end(t)
	o := quick(site.program, site.folder, p.Version)
	o.Probation = 50 * time.Millisecond
	long := New(o)
	long.me = func() Running { r := thisProcess(); r.PID, r.Began = 1, "1"; return r } // the one of the boot that crashes later is another
	if s := site.state(t); s.Probation == nil || s.Probation.BadEnds != 1 {
		t.Fatalf("%+v", s.Probation)
	}
	if next := long.Start(context.Background()); next != Run {
		t.Fatalf("next %v", next)
	}
	until(t, func() bool { s, err := site.State(); return err == nil && s.Probation == nil })
	long.Ended(errors.New("too late"))
	for range maxBadEnds + 2 {
		site.end(t)
	}
	if s := site.state(t); s.Probation != nil || s.Failed != nil || s.Trial != nil || site.runs(t, p) != "2.0.0" {
		t.Errorf("%+v", s)
	}
	if _, err := os.Stat(long.crashFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the crash: %v", err)
	}
}

// A disk that is full when ends are to be counted, or the program before is to be brought back, keeps nothing from running; nor does a system
// without /proc.
func TestFullDiskOnProbation(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"state", "back"} {
		site, p := swapped(t, "later")
		for range maxBadEnds - 1 {
			site.end(t)
		}
		before := site.state(t)
		full := New(quick(site.program, site.folder, p.Version))
		full.point = func(name string) error {
			if name == place {
				return syscall.ENOSPC
			}
			return nil
		}
		for range 2 * maxBadEnds {
			if next := full.Start(context.Background()); next != Run {
				t.Fatalf("%s: next %v", place, next)
			}
			if s := site.state(t); s.Trial != nil || s.Failed != nil || site.runs(t, p) != "2.0.0" {
				t.Fatalf("%s: %+v", place, s)
			}
			if place == "back" { // the run could be noted, and is then this process
				site.change(t, func(s *State) { s.Probation = before.Probation })
			}
		}
		full.lift.Stop()
		site.change(t, func(s *State) { s.Probation = before.Probation })
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.0.0") {
			t.Errorf("%s: with room again: %s", place, said)
		}
	}
	site, p := swapped(t, "good")
	blind := New(quick(site.program, site.folder, p.Version))
	blind.me = func() Running { return Running{} }
	for range maxBadEnds + 1 {
		if next := blind.Start(context.Background()); next != Run {
			t.Fatalf("without /proc: next %v", next)
		}
	}
	blind.lift.Stop()
	if s := site.state(t); s.Probation == nil || s.Probation.Running != nil || s.Probation.BadEnds != 0 {
		t.Errorf("without /proc: %+v", s.Probation)
	}
}

// When the program before is not there any more, or is another one, or does not work either, the new one stays, and nothing is tried for ever.
func TestNothingToTakeBack(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(old string) error{
		"gone": os.Remove,
		"another": func(old string) error {
			return errors.Join(os.Remove(old), os.WriteFile(old, []byte("#!/bin/sh\n"), 0o755))
		},
		"broken": func(old string) error { return os.Chmod(old, 0o644) },
	} {
		site, p := swapped(t, "later")
		if err := spoil(oldOf(site.program)); err != nil {
			t.Fatal(err)
		}
		for range 2 * maxBadEnds {
			if said := site.end(t); !strings.Contains(said, "no such table: sticks") {
				t.Fatalf("%s: %s", what, said)
			}
		}
		s := site.state(t)
		if s.Trial != nil || s.Probation != nil || site.runs(t, p) != "2.0.0" || (s.Failed != nil) != (what == "broken") {
			t.Errorf("%s: %+v, failed %+v", what, s, s.Failed)
		}
		want := "it was to take the place of 2.0.0 (it ended badly 3 times before it had worked for 10m0s: panic: no such table: sticks): " +
			"it can't be executed: permission denied"
		if what == "broken" && (s.Last.Result != RolledBack || s.Last.To != "1.0.0" || s.Last.Reason != want) {
			t.Errorf("%+v", s.Last)
		}
		if _, err := os.Stat(site.candidate()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the candidate: %v", what, err)
		}
	}
}

// The power fails at every place while the program before is brought back: it runs in the end.
func TestPowerFailsWhenTakenBack(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		site := newComputer(t)
		if err := os.Rename(site.program, oldOf(site.program)); err != nil {
			t.Fatal(err)
		}
		p := makes(t, site.program, "2.0.0", "later")
		gone := thisProcess()
		gone.PID, gone.Began = 1, "1"
		site.change(t, func(s *State) {
			s.Probation = &Probation{Program: p, Before: site.old, Change: 7, BadEnds: maxBadEnds - 1, Running: &gone}
		})
		left, where := n, ""
		cut := New(quick(site.program, site.folder, p.Version))
		cut.point = func(name string) error {
			if left--; left < 0 {
				where = name
				return errPower
			}
			return nil
		}
		next := cut.Start(context.Background())
		if cut.lift != nil {
			cut.lift.Stop()
		}
		if where == "" && next == Again {
			if n < 9 {
				t.Errorf("only %d places", n)
			}
			return
		}
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.0.0") || site.runs(t, p) != "1.0.0" {
			t.Errorf("at %d, %s: %s, and in place is %s", n, where, said, site.runs(t, p))
		}
		if s := site.state(t); s.Trial != nil || s.Probation != nil || s.Last.Result != TakenBack || s.Failed == nil {
			t.Errorf("at %d, %s: %+v", n, where, s)
		}
	}
}

// A package that comes in the probation answers for itself.
func TestPackageOnProbation(t *testing.T) {
	t.Parallel()
	site, _ := swapped(t, "later")
	site.end(t)
	if err := os.Remove(site.program); err != nil {
		t.Fatal(err)
	}
	p := makes(t, site.program, "1.5.0", "later")
	for range 2 * maxBadEnds {
		site.end(t)
	}
	if s := site.state(t); s.Probation != nil || s.Failed != nil || site.runs(t, p) != "1.5.0" {
		t.Errorf("%+v", s)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(site.program), ".dhow-tmp-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
