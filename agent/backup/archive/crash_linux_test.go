package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dhow/agent/backup/tree/treetest"
)

// faults runs do once to see how often it passes which points, then lets each passing fail in turn. after is called with the error
// of each run; make brings the scene back to where do starts.
func faults(t *testing.T, prepare func() (do func() error), after func(where string, err error)) {
	t.Helper()
	var passed []string
	do := prepare()
	record := func(name string) error {
		passed = append(passed, name)
		return nil
	}
	at(t, record)
	must(t, do())
	count := map[string]int{}
	for _, name := range passed {
		count[name]++
	}
	if len(count) == 0 {
		t.Fatal("no point was passed")
	}
	for name, n := range count {
		for _, nth := range uniq(1, (n+1)/2, n) {
			at(t, nothing)
			do := prepare()
			left := nth
			at(t, func(p string) error {
				if p == name {
					if left--; left == 0 {
						return fmt.Errorf("fault %s: %w", name, syscall.ENOSPC)
					}
				}
				return nil
			})
			err := do()
			at(t, nothing)
			where := fmt.Sprintf("%s, time %d of %d", name, nth, n)
			if !errors.Is(err, syscall.ENOSPC) && left <= 0 {
				t.Errorf("%s: the fault came out as %v", where, err)
			}
			after(where, err)
		}
	}
}

func uniq(list ...int) (out []int) {
	for _, n := range list {
		if len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
	}
	return out
}

func TestCreateFailsAnywhere(t *testing.T) {
	small(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), noise(1, 500_000), 0o600))
	var a *Archive
	var first map[string]string
	faults(t, func() func() error {
		must(t, os.WriteFile(filepath.Join(dir, "g"), noise(2, 100_000), 0o600))
		a = open(t)
		create(t, a, contents("b0", dir))
		first = treetest.Capture(t, dir)
		must(t, os.WriteFile(filepath.Join(dir, "g"), noise(3, 500_000), 0o600))
		return func() error {
			_, err := a.Create(t.Context(), contents("b1", dir, stream1("db.sql", noise(4, 300_000))), nil)
			return err
		}
	}, func(where string, failed error) {
		_, err := a.Read("b1")
		if there := failed == nil || strings.HasPrefix(where, "archive/record-placed"); there != (err == nil) {
			t.Errorf("%s: the record: %v", where, err)
		}
		must(t, a.Verify(t.Context(), "b0", nil))
		if err == nil {
			must(t, a.Verify(t.Context(), "b1", nil))
		}
		must(t, a.Delete(t.Context(), "b1"))
		create(t, a, contents("b1", dir, stream1("db.sql", noise(4, 300_000))))
		must(t, a.Verify(t.Context(), "b1", nil))
		to := filepath.Join(t.TempDir(), "to")
		restore(t, a, "b1", to)
		treetest.Equal(t, where, treetest.Capture(t, to), treetest.Capture(t, dir))
		restore(t, a, "b0", to)
		treetest.Equal(t, where, treetest.Capture(t, to), first)
		must(t, a.Delete(t.Context(), "b0", "b1"))
		if left := namesIn(t, a, packsDir) + namesIn(t, a, recordsDir) + namesIn(t, a, damagedDir); left != "" {
			t.Errorf("%s: left over: %s", where, left)
		}
	})
}

// TestKilled ends a process that makes a backup with SIGKILL when it has put some packs in place.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), noise(1, 80<<20), 0o600))
	for _, packs := range []int{0, 1, 3} {
		a := open(t)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DHOW_ARCHIVE_CHILD=create b0\n"+a.dir+"\n"+dir)
		must(t, cmd.Start())
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			names, err := os.ReadDir(a.path(packsDir))
			must(t, err)
			whole := 0
			for _, d := range names {
				if _, err := parseDigest(d.Name()); err == nil {
					whole++
				}
			}
			if whole >= packs && len(names) > 0 {
				break
			}
		}
		must(t, cmd.Process.Kill())
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("it was not killed: %v", err)
		}
		if list, err := a.List(); err != nil || len(list) != 0 {
			t.Errorf("a killed backup is listed: %v (%v)", list, err)
		}
		rec := create(t, a, contents("b0", dir))
		if most := int64(84<<20) - int64(packs)*fullPack; rec.Stored > most {
			t.Errorf("%d bytes were stored behind %d packs", rec.Stored, packs)
		}
		must(t, a.Verify(t.Context(), "b0", nil))
		must(t, a.Delete(t.Context(), "b0"))
		if left := namesIn(t, a, packsDir); left != "" {
			t.Errorf("left over: %s", left)
		}
	}
}

// A failed Create leaves what the next one uses: nothing is stored twice.
func TestCreateGoesOnWhereItFailed(t *testing.T) {
	small(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), noise(1, 2_000_000), 0o600))
	a := open(t)
	at(t, func(name string) error {
		if name == "archive/record-write" {
			return syscall.EIO
		}
		return nil
	})
	if _, err := a.Create(t.Context(), contents("b0", dir), nil); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	at(t, nothing)
	rec := create(t, a, contents("b0", dir))
	if rec.Stored > 2000 || rec.Bytes != 2_000_000 {
		t.Errorf("stored %d of %d bytes again", rec.Stored, rec.Bytes)
	}
	must(t, a.Verify(t.Context(), "b0", nil))
}

// gaps makes three backups of which deleting the middle one leaves packs that are mostly garbage, and some that are all garbage.
func gaps(t *testing.T) (a *Archive, want map[string]map[string]string) {
	t.Helper()
	dir := t.TempDir()
	a, want = open(t), map[string]map[string]string{}
	table := noise(1, 40*blockSize)
	for n, keep := range []int{5, 0, 11} {
		for i := range 40 {
			if n > 0 && i%20 != keep { // the others keep one page in twenty
				copy(table[i*blockSize:], noise(uint64(100*n+i), blockSize))
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, "table"), table, 0o600))
		name := fmt.Sprintf("b%d", n)
		create(t, a, contents(name, dir))
		want[name] = treetest.Capture(t, dir)
	}
	return a, want
}

func TestDeleteRepacks(t *testing.T) {
	small(t)
	a, want := gaps(t)
	before := sizeOf(t, a, packsDir)
	must(t, a.Delete(t.Context(), "b0", "b1"))
	left := sizeOf(t, a, packsDir)
	if page := int64(40 * blockSize); left > page+page/10 || before < 2*page {
		t.Errorf("%d bytes of packs were %d before", left, before)
	}
	must(t, a.Verify(t.Context(), "b2", nil))
	to := filepath.Join(t.TempDir(), "to")
	restore(t, a, "b2", to)
	treetest.Equal(t, "b2", treetest.Capture(t, to), want["b2"])
}

func TestDeleteFailsAnywhere(t *testing.T) {
	small(t)
	var a *Archive
	var want map[string]map[string]string
	faults(t, func() func() error {
		a, want = gaps(t)
		return func() error { return a.Delete(t.Context(), "b0", "b1") }
	}, func(where string, _ error) {
		list, err := a.List()
		must(t, err)
		for _, rec := range list {
			must(t, a.Verify(t.Context(), rec.Name, nil))
		}
		must(t, a.Delete(t.Context(), "b0", "b1"))
		to := filepath.Join(t.TempDir(), "to")
		restore(t, a, "b2", to)
		treetest.Equal(t, where, treetest.Capture(t, to), want["b2"])
		if left := sizeOf(t, a, packsDir); left > 44*blockSize {
			t.Errorf("%s: %d bytes of packs are left", where, left)
		}
	})
}

func TestRestoreFailsAnywhere(t *testing.T) {
	small(t)
	f := treetest.NewForest(t, 7, filepath.Join(t.TempDir(), "tree"))
	f.Steps(80)
	must(t, os.WriteFile(filepath.Join(f.Dir, "certainly"), noise(1, 300_000), 0o600))
	a := open(t)
	create(t, a, contents("b0", f.Dir))
	want := treetest.Capture(t, f.Dir)
	var to string
	faults(t, func() func() error {
		to = filepath.Join(t.TempDir(), "to")
		must(t, os.Mkdir(to, 0o700))
		must(t, os.WriteFile(filepath.Join(to, "of before"), nil, 0o600))
		return func() error { return a.Restore(t.Context(), "b0", []Tree{{"data", to}}, nil) }
	}, func(where string, _ error) {
		restore(t, a, "b0", to)
		treetest.Equal(t, where, treetest.Capture(t, to), want)
	})
	f.Outside()
}

// Interrupted by its context at any place, an operation ends with that error and can be run again.
func TestInterrupted(t *testing.T) {
	small(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), noise(1, 900_000), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "g"), noise(1, 20), 0o600))
	a := open(t)
	create(t, a, contents("b0", dir))
	for left := 0; left < 60; left += 1 + left/4 {
		ctx := func() context.Context { return treetest.NewCountdown(t.Context(), left) }
		other := open(t)
		if _, err := other.Create(ctx(), contents("b0", dir), nil); err == nil && left < 3 {
			t.Errorf("create did not hear its context at %d", left)
		} else if err != nil {
			create(t, other, contents("b0", dir))
		}
		must(t, other.Verify(t.Context(), "b0", nil))
		to := filepath.Join(t.TempDir(), "to")
		if err := a.Restore(ctx(), "b0", []Tree{{"data", to}}, nil); err == nil && left < 3 {
			t.Errorf("restore did not hear its context at %d", left)
		}
		restore(t, a, "b0", to)
		if err := a.Verify(ctx(), "b0", nil); err == nil && left < 3 {
			t.Errorf("verify did not hear its context at %d", left)
		}
	}
}
