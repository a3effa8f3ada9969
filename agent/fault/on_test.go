//go:build faults

package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAddresses passes points in a fixed order and expects those to act that an address means, once.
func TestAddresses(t *testing.T) {
	for _, c := range []struct{ want, acted string }{
		{"disk/write:enospc", "1"},
		{"disk/write#2:enospc", "2"},
		{"disk/write@copy:eio", "2"},
		{"disk/write@copy#2:eio", "3"},
		{"disk/write#4:eio", "4"},
		{"disk/write@copy#3:eio", ""},
		{"disk/write@check:eio,disk/write@undo#1:enospc", "1 4"},
		{"copy/before:eio", "step"},
		{"disk/writ:eio,write:eio,disk/write@cop:eio,disk/write#0:eio,disk/write#x:eio", ""},
	} {
		t.Setenv("DHOW_FAULT", c.want)
		t.Setenv("DHOW_FAULT_DIR", t.TempDir())
		t.Setenv("DHOW_FAULT_TRACE", filepath.Join(t.TempDir(), "trace"))
		passed.step, passed.counts = "", map[string]int{}
		var acted []string
		note := func(name string, err error) {
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) {
				acted = append(acted, name)
			} else if err != nil {
				t.Errorf("%s: %v", c.want, err)
			}
		}
		note("check", Step("check/before"))
		note("1", Point("disk/write"))
		note("step", Step("copy/before"))
		note("2", Point("disk/write"))
		note("3", Point("disk/write"))
		note("undo", Step("undo/before"))
		note("4", Point("disk/write"))
		if got := strings.Join(acted, " "); got != c.acted {
			t.Errorf("%s: %q acted, want %q", c.want, got, c.acted)
		}
		trace, err := os.ReadFile(os.Getenv("DHOW_FAULT_TRACE"))
		want := "check/before#1\ndisk/write@check#1\ncopy/before#1\ndisk/write@copy#1\ndisk/write@copy#2\nundo/before#1\ndisk/write@undo#1\n"
		if err != nil || string(trace) != want {
			t.Errorf("%s: traced %v\n%s", c.want, err, trace)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Setenv("DHOW_FAULT", "here:panic")
	defer func() {
		if p := recover(); p != "fault here" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = Point("here")
	t.Error("it did not panic")
}

func TestNow(t *testing.T) {
	if d := time.Until(Now()); d.Abs() > time.Minute {
		t.Errorf("off by %v without a file", d)
	}
	file := filepath.Join(t.TempDir(), "clock")
	t.Setenv("DHOW_FAULT_CLOCK", file)
	for _, seconds := range []int64{-1_795_000_000, 0, 31_536_000, 3_000_000_000} {
		if err := os.WriteFile(file, fmt.Appendln(nil, seconds), 0o600); err != nil {
			t.Fatal(err)
		}
		if off := Now().Unix() - time.Now().Unix() - seconds; off < -60 || off > 60 {
			t.Errorf("moved by %d: off by %d s", seconds, off)
		}
	}
}
