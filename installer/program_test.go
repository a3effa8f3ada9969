//go:build !windows

package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/bundle/durable"
)

func TestPutProgram(t *testing.T) {
	dir := t.TempDir()
	program := func(name, version string) string {
		path := filepath.Join(dir, name)
		text := "#!/bin/sh\n[ \"$*\" = 'version --json' ] && echo '{\"version\": \"" + version + "\"}'\n"
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	to := filepath.Join(dir, "lib", "dhow")
	silent := filepath.Join(dir, "silent")
	if err := os.WriteFile(silent, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, from, version string
		done                Done
		newer               string
	}{
		{"first", program("a", "1.0.0"), "1.0.0", Made, ""},
		{"again", program("a", "1.0.0"), "1.0.0", Kept, ""},
		{"newer", program("b", "v1.1.0"), "v1.1.0", Repaired, ""},
		{"older", program("a", "1.0.0"), "1.0.0", Kept, "v1.1.0"},
		{"of no version", program("d", "dev"), "dev", Repaired, ""},
		{"over one of no version", program("a", "1.0.0"), "1.0.0", Repaired, ""},
		{"itself", to, "1.0.0", Kept, ""},
		{"damaged", silent, "1.0.0", Repaired, ""}, // equal bytes are compared before anything is run
		{"over a damaged one", program("a", "1.0.0"), "1.0.0", Repaired, ""},
	} {
		done, newer, err := putProgram(t.Context(), c.from, to, c.version, false)
		if err != nil || done != c.done || newer != c.newer {
			t.Errorf("%s: %s, %q, %v; want %s, %q", c.what, done, newer, err, c.done, c.newer)
		}
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, _, err := putProgram(t.Context(), filepath.Join(dir, "nothing"), filepath.Join(dir, "x", "y"), "1.0.0", false); err == nil {
		t.Error("a program that is not there was put in place")
	}

	// One that is slow to say its version stays, and stays when somebody breaks off.
	limit, slow := versionLimit, "#!/bin/sh\nexec sleep 600\n"
	if err := os.WriteFile(to, []byte(slow), 0o755); err != nil {
		t.Fatal(err)
	}
	versionLimit = 100 * time.Millisecond
	done, newer, err := putProgram(t.Context(), program("a", "1.0.0"), to, "1.0.0", false)
	versionLimit = limit
	if done != Kept || newer != Unsaid || err != nil {
		t.Errorf("a slow one: %s, %q, %v", done, newer, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := putProgram(ctx, program("a", "1.0.0"), to, "1.0.0", false); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	if data, err := os.ReadFile(to); string(data) != slow {
		t.Errorf("it was replaced: %q, %v", data, err)
	}
	if err := os.Rename(program("a", "1.0.0"), to); err != nil {
		t.Fatal(err)
	}

	packaged := program("p", "2.0.0")
	if err := os.WriteFile(filepath.Join(dir, "lib", durable.TempPrefix+"put"), nil, 0o755); err != nil { // of a power cut
		t.Fatal(err)
	}
	for _, want := range []Done{Repaired, Kept} {
		if done, _, err := putProgram(t.Context(), packaged, to, "2.0.0", true); done != want || err != nil {
			t.Errorf("a package's: %s, %v", done, err)
		}
	}
	a, errA := os.Stat(packaged)
	b, errB := os.Stat(to)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("a package's program takes its room twice: %v, %v", errA, errB)
	}
	if list, err := os.ReadDir(filepath.Dir(to)); len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestOwner(t *testing.T) {
	for want, works := range map[string][]string{
		"sudo apt remove dhow":    {"dpkg-query --search " + Packaged, "dnf --version"},
		"sudo dnf remove dhow":    {"dnf --version"},
		"sudo zypper remove dhow": {"zypper --version"},
		"sudo rpm -e dhow":        nil,
	} {
		got := ownerOf(true, func(name string, args ...string) bool {
			return slices.Contains(works, strings.Join(append([]string{name}, args...), " "))
		})
		if got != want {
			t.Errorf("with %q: %q, want %q", works, got, want)
		}
	}
	if got := ownerOf(false, func(string, ...string) bool { return true }); got != "" {
		t.Errorf("without a package: %q", got)
	}
}
