package self

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// running reports whether a process runs a program.
func running(program string) bool {
	list, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range list {
		if to, err := os.Readlink(exe); err == nil && to == program {
			return true
		}
	}
	return false
}

var errPower = errors.New("the power has failed")

// The power fails at every place where something has just become durable, or is about to. After the next start the whole old or the whole new
// program runs, and in the end the new one, as it is good.
func TestPowerFails(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		site := newComputer(t)
		source := site.program + ".source"
		p := makes(t, source, "2.0.0", "good")
		data, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		left, where := n, ""
		site.point = func(name string) error {
			if left--; left < 0 {
				if where == "" {
					where = name
				}
				return errPower // and nothing more happens
			}
			return nil
		}
		_ = site.Prepare(context.Background(), p, bytes.NewReader(data))
		_ = site.Begin(p, 7, Expect{})
		next := site.Start(context.Background())
		if where == "" && next == Again && site.runs(t, p) == "2.0.0" {
			if n < 9 {
				t.Errorf("only %d places", n)
			}
			return
		}
		if got := site.runs(t, p); got != "1.0.0" && got != "2.0.0" {
			t.Fatalf("at %d, %s: %s is in place", n, where, got)
		}
		said := site.boot(t)
		if s, err := site.State(); err != nil || s.Trial != nil {
			t.Errorf("at %d, %s: state %+v, %v", n, where, s.Trial, err)
		}
		if !strings.HasPrefix(said, "the agent is "+site.runs(t, p)) {
			t.Errorf("at %d, %s: %s, and in place is %s", n, where, said, site.runs(t, p))
		}
		if site.runs(t, p) == "1.0.0" { // before the trial was written: nothing has happened
			fresh := New(quick(site.program, site.folder, "1.0.0"))
			if err := fresh.Prepare(context.Background(), p, bytes.NewReader(data)); err != nil {
				t.Fatalf("at %d, %s: %v", n, where, err)
			}
			if err := fresh.Begin(p, 7, Expect{}); err != nil {
				t.Fatalf("at %d, %s: %v", n, where, err)
			}
			if said := site.boot(t); !strings.HasPrefix(said, "the agent is 2.0.0") {
				t.Errorf("at %d, %s, tried again: %s", n, where, said)
			}
		}
	}
}
