//go:build faults && linux

package backup

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test program, started again by TestKilled, do one operation and be killed in it.
func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv("DHOW_BACKUP_CHILD"), "\n")
	if len(args) != 3 {
		os.Exit(m.Run())
	}
	bigFile = 1
	if err := operation(context.Background(), args[0], args[1], []Tree{{"data", args[2]}}); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func operation(ctx context.Context, name, snap string, trees []Tree) error {
	switch name {
	case "copy":
		return CopyAhead(ctx, snap, trees, nil)
	case "finish":
		_, err := Finish(ctx, snap, trees, Info{Made: made}, nil)
		return err
	case "verify":
		return Verify(ctx, snap)
	}
	return Restore(ctx, snap, trees, nil)
}

var points = []struct{ operation, point string }{
	{"copy", "backup/copy"},
	{"finish", "backup/finish"},
	{"finish", "backup/verify"},
	{"finish", "backup/finish-record"},
	{"verify", "backup/verify"},
	{"restore", "backup/restore-clean"},
	{"restore", "backup/restore"},
	{"copy", "backup/block"},
	{"finish", "backup/block"},
	{"restore", "backup/restore-block"},
}

// scene makes a tree and brings it to where the operation starts.
func scene(t *testing.T, operation string) (f *forest, snap string, trees []Tree) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f = newForest(t, seed, filepath.Join(t.TempDir(), "tree"))
	snap = filepath.Join(t.TempDir(), "snap")
	trees = []Tree{{"data", f.Dir}}
	f.Steps(60)
	must(t, os.WriteFile(filepath.Join(f.Dir, "certainly"), []byte("a file"), 0o644))
	if operation == "copy" {
		return f, snap, trees
	}
	must(t, CopyAhead(t.Context(), snap, trees, nil))
	f.Steps(20)
	must(t, os.WriteFile(filepath.Join(f.Dir, "certainly changed"), []byte("a file"), 0o644))
	return f, snap, trees
}

// TestKilled kills a process at each fault point with SIGKILL, lets it run again, and expects the same as without.
func TestKilled(t *testing.T) {
	for _, p := range points {
		t.Run(p.operation+" at "+p.point, func(t *testing.T) {
			byBlocks(t)
			f, snap, trees := scene(t, p.operation)
			want := capture(t, f.Dir)
			if p.operation == "restore" || p.operation == "verify" {
				must(t, operation(t.Context(), "finish", snap, trees))
			}
			if p.operation == "restore" {
				f.Steps(40)
				must(t, os.RemoveAll(filepath.Join(f.Dir, "certainly changed"))) // so that there is something to copy
			}
			acted := t.TempDir()
			child := func() error {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "DHOW_BACKUP_CHILD="+p.operation+"\n"+snap+"\n"+f.Dir,
					"DHOW_FAULT="+p.point+":kill", "DHOW_FAULT_DIR="+acted)
				return cmd.Run()
			}
			var exit *exec.ExitError
			if err := child(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the first run was not killed: %v", err)
			}
			if _, err := Read(snap); p.operation == "finish" && !errors.Is(err, ErrIncomplete) {
				t.Fatalf("a killed last pass left a snapshot: %v", err)
			}
			must(t, child())
			if p.operation == "copy" {
				must(t, operation(t.Context(), "finish", snap, trees))
			}
			must(t, Verify(t.Context(), snap))
			must(t, operation(t.Context(), "restore", snap, trees))
			equal(t, "in the end", capture(t, f.Dir), want)
			f.Outside()
		})
	}
}

// TestFaults lets each fault point fail with a full disk, sees the error come out, and runs again.
func TestFaults(t *testing.T) {
	for _, p := range points {
		t.Run(p.operation+" at "+p.point, func(t *testing.T) {
			byBlocks(t)
			f, snap, trees := scene(t, p.operation)
			want := capture(t, f.Dir)
			if p.operation == "restore" || p.operation == "verify" {
				must(t, operation(t.Context(), "finish", snap, trees))
				must(t, os.RemoveAll(filepath.Join(f.Dir, "certainly changed")))
			}
			t.Setenv("DHOW_FAULT_DIR", t.TempDir())
			t.Setenv("DHOW_FAULT", p.point+":enospc")
			if err := operation(t.Context(), p.operation, snap, trees); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the fault came out as %v", err)
			}
			must(t, operation(t.Context(), p.operation, snap, trees))
			if p.operation == "copy" {
				must(t, operation(t.Context(), "finish", snap, trees))
			}
			must(t, operation(t.Context(), "restore", snap, trees))
			equal(t, "in the end", capture(t, f.Dir), want)
		})
	}
}
