package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/agent/backup/tree/treetest"

	"golang.org/x/sys/unix"
)

var made = time.Date(2026, 11, 21, 21, 3, 42, 0, time.UTC)

// snapshot makes a whole snapshot of dir and returns where it is and what it promises.
func snapshot(t *testing.T, dir string) (string, []Tree, map[string]string) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), to, trees, nil))
	_, err := Finish(t.Context(), to, trees, Info{Release: "1.0.0", Made: made}, nil)
	must(t, err)
	return to, trees, capture(t, dir)
}

// TestRandomTrees is the promise of the package: whatever happens to a tree before, between and after the passes, Restore
// brings back exactly what stood there at the last one.
func TestRandomTrees(t *testing.T) {
	base := rand.Uint64()
	for i := range uint64(12) {
		seed := base + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Logf("seed %d", seed)
			if i%2 == 0 {
				byBlocks(t)
			}
			f := newForest(t, seed, filepath.Join(t.TempDir(), "tree"))
			to := filepath.Join(t.TempDir(), "snap")
			trees := []Tree{{"data", f.Dir}}
			f.Steps(60)
			for range f.Rand.IntN(3) {
				if f.Rand.IntN(2) == 0 {
					settled(t)
				}
				must(t, CopyAhead(t.Context(), to, trees, nil))
				f.Steps(f.Rand.IntN(20))
			}
			s, err := Finish(t.Context(), to, trees, Info{Release: "1.0.0", Made: made}, nil)
			must(t, err)
			want := capture(t, f.Dir)
			equal(t, "copy", capture(t, filepath.Join(to, "trees", "data")), want)
			if s.Trees[0].Files != len(want) {
				t.Errorf("snapshot says %d files, there are %d", s.Trees[0].Files, len(want))
			}
			must(t, Verify(t.Context(), to))
			for range 2 {
				if f.Rand.IntN(2) == 0 {
					settled(t)
				}
				f.Steps(f.Rand.IntN(40))
				must(t, Restore(t.Context(), to, trees, nil))
				equal(t, "restored", capture(t, f.Dir), want)
			}
			must(t, os.RemoveAll(f.Dir))
			must(t, Restore(t.Context(), to, trees, nil))
			equal(t, "restored from nothing", capture(t, f.Dir), want)
			must(t, Verify(t.Context(), to))
			f.Outside()
		})
	}
}

// TestInterrupted ends every operation at ever later places and goes on from what that left.
func TestInterrupted(t *testing.T) {
	t.Run("whole files", interrupted)
	t.Run("blocks", func(t *testing.T) {
		byBlocks(t)
		interrupted(t)
	})
}

func interrupted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := newForest(t, seed, filepath.Join(t.TempDir(), "tree"))
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", f.Dir}}
	f.Steps(60)
	// insist runs the operation until it is through, with between in every pause; it must have been interrupted sometimes.
	insist := func(what string, run func(ctx context.Context) error, between func()) {
		t.Helper()
		for n := 0; ; n++ {
			err := run(treetest.NewCountdown(t.Context(), n*7))
			if err == nil {
				if n < 5 {
					t.Errorf("%s: interrupted %d times only", what, n)
				}
				return
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s, interruption %d: %v", what, n, err)
			}
			between()
		}
	}
	insist("copy ahead", func(ctx context.Context) error { return CopyAhead(ctx, to, trees, nil) }, f.Step)
	f.Steps(20)
	insist("finish", func(ctx context.Context) error {
		_, err := Finish(ctx, to, trees, Info{Made: made}, nil)
		return err
	}, func() {
		f.Step()
		if _, err := Read(to); !errors.Is(err, ErrIncomplete) {
			t.Fatalf("an unfinished snapshot reads as %v", err)
		}
		if err := Restore(t.Context(), to, trees, nil); !errors.Is(err, ErrIncomplete) {
			t.Fatalf("an unfinished snapshot restores as %v", err)
		}
	})
	want := capture(t, f.Dir)
	f.Steps(120)
	insist("restore", func(ctx context.Context) error { return Restore(ctx, to, trees, nil) }, f.Step)
	equal(t, "restored", capture(t, f.Dir), want)
	must(t, Verify(t.Context(), to))
	f.Outside()
}

func TestOnlyChangesAreCopied(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	for _, name := range []string{"same", "changed", "gone"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644))
	}
	settled(t)
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), to, trees, nil))
	inode := func(name string) uint64 {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(to, "trees", "data", name), &st))
		return st.Ino
	}
	pin, err := os.Open(filepath.Join(to, "trees", "data", "changed")) // so that its inode number is not given out again
	must(t, err)
	defer pin.Close()
	same, changed := inode("same"), inode("changed")
	must(t, os.WriteFile(filepath.Join(dir, "changed"), []byte("CHANGED"), 0o644))
	must(t, os.Remove(filepath.Join(dir, "gone")))
	if _, err := Finish(t.Context(), to, trees, Info{Made: made}, nil); err != nil {
		t.Fatal(err)
	}
	if inode("same") != same {
		t.Error("an unchanged file was copied again")
	}
	if inode("changed") == changed {
		t.Error("a changed file was not copied anew")
	}
	if _, err := os.Lstat(filepath.Join(to, "trees", "data", "gone")); !os.IsNotExist(err) {
		t.Errorf("a removed file is still in the snapshot: %v", err)
	}

	// The same for restore: what did not change keeps its inode and with it whatever the system knows of it.
	settled(t)
	var before, after unix.Stat_t
	must(t, os.WriteFile(filepath.Join(dir, "changed"), []byte("again"), 0o644))
	must(t, Restore(t.Context(), to, trees, nil)) // files made just before the snapshot are compared by content
	settled(t)
	must(t, unix.Lstat(filepath.Join(dir, "same"), &before))
	must(t, Restore(t.Context(), to, trees, nil))
	must(t, unix.Lstat(filepath.Join(dir, "same"), &after))
	if before.Ino != after.Ino || before.Ctim != after.Ctim {
		t.Error("an unchanged file was touched by restore")
	}
}

// TestRacyWrite writes into a file right after it was copied, within one tick of the file system's clock and without changing
// its size.
func TestRacyWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	file := filepath.Join(dir, "file")
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	for i := range 30 {
		must(t, os.WriteFile(file, fmt.Appendf(nil, "a%03d", i), 0o644))
		must(t, CopyAhead(t.Context(), to, trees, nil))
		must(t, os.WriteFile(file, fmt.Appendf(nil, "b%03d", i), 0o644))
		_, err := Finish(t.Context(), to, trees, Info{Made: made}, nil)
		must(t, err)
		must(t, os.WriteFile(file, fmt.Appendf(nil, "c%03d", i), 0o644))
		must(t, Restore(t.Context(), to, trees, nil))
		if data, _ := os.ReadFile(file); string(data) != fmt.Sprintf("b%03d", i) {
			t.Fatalf("round %d: restored %q", i, data)
		}
	}
}

// TestMappedWrite changes a page through a memory map that was dirty already when the file was copied: its times would not move
// by themselves.
func TestMappedWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	file := filepath.Join(dir, "mapped")
	must(t, os.WriteFile(file, make([]byte, 8192), 0o644))
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	page[0] = 'a'
	must(t, os.WriteFile(filepath.Join(dir, "next"), make([]byte, 10), 0o644))
	settled(t)
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), to, trees, func(done, _ int64) {
		if done > 8192 { // it works on the next file
			page[1] = 'b'
		}
	}))
	must(t, unix.Munmap(page))
	_, err = Finish(t.Context(), to, trees, Info{Made: made}, nil)
	must(t, err)
	data, err := os.ReadFile(filepath.Join(to, "trees", "data", "mapped"))
	must(t, err)
	if string(data[:2]) != "ab" {
		t.Fatalf("the snapshot has %q", data[:2])
	}
}

// TestWrongLinks restores over files that were made one, and over one that was made two.
func TestWrongLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	when := time.Unix(1_700_000_000, 123)
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(path(name), []byte("alike"), 0o644))
		must(t, os.Chtimes(path(name), when, when))
	}
	must(t, os.Link(path("c"), path("d")))
	to, trees, want := snapshot(t, dir)
	must(t, os.Remove(path("b")))
	must(t, os.Link(path("a"), path("b")))
	must(t, os.Remove(path("d")))
	must(t, os.WriteFile(path("d"), []byte("alike"), 0o644))
	must(t, os.Chtimes(path("d"), when, when))
	must(t, Restore(t.Context(), to, trees, nil))
	equal(t, "restored", capture(t, dir), want)
	must(t, os.Remove(path("c")))
	must(t, os.Link(path("a"), path("c")))
	must(t, Restore(t.Context(), to, trees, nil))
	equal(t, "restored again", capture(t, dir), want)
}

func TestStillWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	for i := range 20 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%02d", i)), []byte("content"), 0o644))
	}
	to := filepath.Join(t.TempDir(), "snap")
	trees := []Tree{{"data", dir}}
	changes := map[string]func(){
		"a file already copied": func() { must(t, os.WriteFile(filepath.Join(dir, "f00"), []byte("other"), 0o644)) },
		"a file not yet copied": func() { must(t, os.WriteFile(filepath.Join(dir, "f19"), []byte("other"), 0o644)) },
		"a new file":            func() { must(t, os.WriteFile(filepath.Join(dir, "new"), []byte("other"), 0o644)) },
		"a file removed":        func() { must(t, os.Remove(filepath.Join(dir, "f18"))) },
	}
	for what, change := range changes {
		calls := 0
		_, err := Finish(t.Context(), to, trees, Info{Made: made}, func(int64, int64) {
			if calls++; calls == 10 {
				change()
			}
		})
		if !errors.Is(err, ErrChanged) {
			t.Errorf("%s during the last pass: %v", what, err)
		}
		if _, err := Read(to); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: the snapshot counts as finished: %v", what, err)
		}
	}
}

func TestSocketsAndEmptyTrees(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s.sock"))
	must(t, err)
	defer l.Close()
	to, trees, want := snapshot(t, dir)
	if len(want) != 1 {
		t.Fatalf("the tree has %v", want)
	}
	must(t, Restore(t.Context(), to, trees, nil))
	if _, err := os.Lstat(filepath.Join(dir, "s.sock")); !os.IsNotExist(err) {
		t.Errorf("a stale socket is left: %v", err)
	}
	equal(t, "restored", capture(t, dir), want)
}

func TestSeveralTrees(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	newForest(t, 1, a)
	newForest(t, 2, b)
	must(t, os.WriteFile(filepath.Join(a, "x"), []byte("in a"), 0o644))
	must(t, os.WriteFile(filepath.Join(b, "x"), []byte("in b"), 0o644))
	to := filepath.Join(t.TempDir(), "snap")
	must(t, CopyAhead(t.Context(), to, []Tree{{"a", a}, {"old", b}}, nil))
	trees := []Tree{{"a", a}, {"b", b}}
	var last, total int64
	s, err := Finish(t.Context(), to, trees, Info{Release: "1.0.0", Made: made, Rows: map[string]int64{"db/x.y": 3}}, func(done, all int64) {
		if done < last || done > all {
			t.Errorf("progress %d of %d after %d", done, all, last)
		}
		last, total = done, all
	})
	must(t, err)
	if last != total || total != 16 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if s.Bytes() != 8 {
		t.Errorf("the snapshot has %d bytes", s.Bytes())
	}
	if _, err := os.Lstat(filepath.Join(to, "trees", "old")); !os.IsNotExist(err) {
		t.Errorf("a tree that is not asked for any more is left: %v", err)
	}
	again, err := Read(to)
	must(t, err)
	if fmt.Sprint(again) != fmt.Sprint(s) {
		t.Errorf("read %v, wrote %v", again, s)
	}
	must(t, os.WriteFile(filepath.Join(a, "x"), []byte("bad"), 0o644))
	must(t, os.WriteFile(filepath.Join(b, "x"), []byte("new"), 0o644))
	must(t, Restore(t.Context(), to, trees[:1], nil)) // one of them alone
	for path, want := range map[string]string{filepath.Join(a, "x"): "in a", filepath.Join(b, "x"): "new"} {
		if data, _ := os.ReadFile(path); string(data) != want {
			t.Errorf("%s holds %q", path, data)
		}
	}
}

func TestSize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	must(t, os.WriteFile(filepath.Join(dir, "a"), make([]byte, 100_000), 0o644))
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	must(t, os.WriteFile(filepath.Join(dir, "sparse"), nil, 0o644))
	must(t, os.Truncate(filepath.Join(dir, "sparse"), 1<<40))
	got, err := Size([]Tree{{"data", dir}})
	must(t, err)
	if got < 100_000 || got > 200_000 {
		t.Errorf("size is %d", got)
	}
}
