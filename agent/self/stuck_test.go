package self

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A trial that can't go on at a start is left as it is, and said: the program in place runs.
func TestStuckTrial(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proven   bool
		inTheWay func(t *testing.T, site *computer)
		said     string
	}{
		"a proven one, in a folder where no file can be made": {
			proven: true, said: "cannot put the new program in place: ",
			inTheWay: func(t *testing.T, site *computer) {
				if err := os.MkdirAll(filepath.Join(newlyOldOf(site.program), "x"), 0o755); err != nil {
					t.Fatal(err)
				}
			},
		},
		"one whose attempt can't be counted on a full disk": {
			said: "cannot write the state of the agent's program: no space left on device",
			inTheWay: func(_ *testing.T, site *computer) {
				site.point = func(name string) error {
					if name == "state" {
						return syscall.ENOSPC
					}
					return nil
				}
			},
		},
	} {
		site := newComputer(t)
		p := site.trial(t, "good")
		s, _ := site.State()
		s.Trial.Proven = c.proven
		if err := site.save(s); err != nil {
			t.Fatal(err)
		}
		c.inTheWay(t, site)
		if next := site.Start(context.Background()); next != Run || site.runs(t, p) != "1.0.0" {
			t.Errorf("%s: next %v, in place %s", name, next, site.runs(t, p))
		}
		if err := site.Stuck(); err == nil || !strings.HasPrefix(err.Error(), c.said) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := site.State(); err != nil || now.Trial == nil || *now.Trial != *s.Trial || now.Last != nil {
			t.Errorf("%s: state %+v, %v", name, now, err)
		}
	}
	site := newComputer(t)
	if site.trial(t, "good"); site.Start(context.Background()) != Again || site.Stuck() != nil {
		t.Errorf("a good one: %v", site.Stuck())
	}
}

// A package or a person puts a program in place while another one is tried. It stays, whenever that happens.
func TestReplacedDuringATrial(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"attempt", "state-written", "link", "linked"} {
		site := newComputer(t)
		site.trial(t, "good")
		var put Program
		site.point = func(name string) error {
			s, err := site.State()
			if put.Version == "" && err == nil && s.Trial != nil &&
				(name == when && (s.Trial.Proven || name != "state-written") || when == "attempt" && name == "state-written") {
				put = makes(t, site.program+".unpacked", "1.5.0", "good")
				if err := os.Rename(site.program+".unpacked", site.program); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		if next := site.Start(context.Background()); next != Run || site.runs(t, put) != "1.5.0" {
			t.Errorf("%s: next %v, in place %s", when, next, site.runs(t, put))
		}
		s, err := site.State()
		if err != nil || s.Trial != nil || s.Failed != nil || s.Last == nil || s.Last.Result != Replaced || s.Last.Reason != replacedReason {
			t.Errorf("%s: state %+v %+v, %v", when, s, s.Last, err)
		}
		for _, left := range []string{site.candidate(), newlyOldOf(site.program)} {
			if _, err := os.Lstat(left); err == nil {
				t.Errorf("%s: %s stays", when, left)
			}
		}
		if site.Stuck() != nil {
			t.Errorf("%s: %v", when, site.Stuck())
		}
		// The program that runs vouches for itself, and not for the one that was put in its place.
		p := makes(t, site.candidate(), "2.0.0", "good")
		if r, err := site.Running(); err != nil || r != site.old {
			t.Errorf("%s: running %+v, %v", when, r, err)
		}
		if err := site.Begin(p, 8, Expect{}); !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: a trial begins: %v", when, err)
		}
		if said := site.boot(t); !strings.HasPrefix(said, "the agent is 1.5.0") {
			t.Errorf("%s: %s", when, said)
		}
	}
}

func TestFiles(t *testing.T) {
	site := newComputer(t)
	site.trial(t, "good")
	site.point = func(name string) error {
		if name == "link" {
			return errPower
		}
		return nil
	}
	site.Start(context.Background())
	if err := os.Remove(site.program); err != nil {
		t.Fatal(err)
	}
	for _, f := range Files(site.program) {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(site.folder); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(site.program)); err != nil || len(left) > 0 {
		t.Errorf("what a power cut left is not known: %v %v", left, err)
	}
}
