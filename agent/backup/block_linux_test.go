package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dhow/agent/backup/tree"
)

const block128 = 128 << 10 // a block

// random fills a file; the last block is a short one.
func random(t *testing.T, path string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(b)
	must(t, os.WriteFile(path, b, 0o644))
	return b
}

func write(t *testing.T, path, text string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(text), at)
	must(t, err)
	must(t, f.Close())
}

func written(d doubts) (list []int) {
	for i, yes := range d {
		if yes {
			list = append(list, i)
		}
	}
	return list
}

// TestPatch gives patch digests that say that all is well although block 3 of the old copy is not: that it stays proves that nothing but
// what differs is written.
func TestPatch(t *testing.T) {
	dir := t.TempDir()
	const size = 9*block128 + 77
	for _, c := range []struct {
		what   string
		change func(in string)
		known  bool
		want   []int
		stays  bool
	}{
		{"nothing", func(string) {}, true, nil, true},
		{"a page in the middle", func(in string) { write(t, in, "changed", 7*block128+5) }, true, []int{7}, true},
		{"over a border", func(in string) { write(t, in, "changed", 5*block128-3) }, true, []int{4, 5}, true},
		{"the short block at the end", func(in string) { write(t, in, "changed", 9*block128+70) }, true, []int{9}, true},
		{"it grew", func(in string) { write(t, in, "changed", 11*block128) }, true, []int{9, 10, 11}, true},
		{"it shrank", func(in string) { must(t, os.Truncate(in, 6*block128-1)) }, true, []int{5}, true},
		{"digests are not known", func(in string) { write(t, in, "changed", 7*block128) }, false, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			source, target := filepath.Join(dir, "in"), filepath.Join(dir, "out")
			old := random(t, source, size)
			random(t, target, size)
			write(t, target, "WRONG", 3*block128+1)
			c.change(source)
			in, err := os.Open(source)
			must(t, err)
			defer in.Close()
			out, err := os.OpenFile(target, os.O_RDWR, 0)
			must(t, err)
			defer out.Close()
			var have []byte
			cp := newCopier(t.Context(), &meter{})
			if c.known {
				must(t, os.WriteFile(filepath.Join(dir, "old"), old, 0o644))
				f, err := os.Open(filepath.Join(dir, "old"))
				must(t, err)
				defer f.Close()
				have, err = cp.hashBlocks(f, size)
				must(t, err)
			}
			st, err := in.Stat()
			must(t, err)
			blocks, doubt, err := cp.patch(out, in, st.Size(), have, false, true)
			must(t, err)
			if got := written(doubt); !slices.Equal(got, c.want) {
				t.Errorf("in doubt are %v, want %v", got, c.want)
			}
			want, err := os.ReadFile(source)
			must(t, err)
			got, err := os.ReadFile(target)
			must(t, err)
			if c.stays {
				if string(got[3*block128+1:3*block128+6]) != "WRONG" {
					t.Error("a block that did not change was written")
				}
				copy(got[3*block128+1:], want[3*block128+1:3*block128+6])
			}
			if !bytes.Equal(got, want) {
				t.Error("the copy differs")
			}
			sums, err := cp.hashBlocks(in, st.Size())
			must(t, err)
			if !bytes.Equal(sums, blocks) {
				t.Error("the digests are not those of the source")
			}
		})
	}
}

func TestMend(t *testing.T) {
	dir := t.TempDir()
	const size = 4*block128 + 5
	source, target := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	want := random(t, source, size)
	in, err := os.Open(source)
	must(t, err)
	defer in.Close()
	cp := newCopier(t.Context(), &meter{})
	digests, err := cp.hashBlocks(in, size)
	must(t, err)
	for what, c := range map[string]struct {
		target []byte
		want   []int
	}{
		"one page":  {append(append(bytes.Clone(want[:2*block128]), 'x'), want[2*block128+1:]...), []int{2}},
		"shorter":   {want[:3*block128+8], []int{3, 4}},
		"longer":    {append(bytes.Clone(want), 'x'), nil},
		"all other": {make([]byte, size), []int{0, 1, 2, 3, 4}},
	} {
		must(t, os.WriteFile(target, c.target, 0o644))
		out, err := os.OpenFile(target, os.O_RDWR, 0)
		must(t, err)
		doubt, err := cp.mend(out, in, size, digests, false)
		must(t, err)
		must(t, out.Close())
		if got := written(doubt); !slices.Equal(got, c.want) {
			t.Errorf("%s: written were %v, want %v", what, got, c.want)
		}
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: not mended: %v", what, err)
		}
	}
	digests[40]++ // as if the snapshot's second block were damaged
	must(t, os.Truncate(target, 0))
	out, err := os.OpenFile(target, os.O_RDWR, 0)
	must(t, err)
	defer out.Close()
	if _, err := cp.mend(out, in, size, digests, false); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged block was restored: %v", err)
	}
}

// copied makes a tree with a large file and a small one, and its first pass, read back and settled.
func copied(t *testing.T) (dir, snap string, trees []Tree, copyOf func(string) string) {
	t.Helper()
	byBlocks(t)
	dir = filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	random(t, filepath.Join(dir, "large"), 5*block128+9)
	must(t, os.WriteFile(filepath.Join(dir, "small"), []byte("small"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644))
	settled(t)
	snap, trees = filepath.Join(t.TempDir(), "snap"), []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), snap, trees, nil))
	settled(t)
	must(t, CopyAhead(t.Context(), snap, trees, nil)) // the copies are old enough now to be known by their change time
	return dir, snap, trees, func(name string) string { return filepath.Join(snap, treesDir, "data", name) }
}

// forge makes the index of a first pass say that the copies are untouched whatever was done to them, as if made under a boot.
func forge(t *testing.T, snap, boot string) {
	t.Helper()
	file := indexPath(snap, "data")
	data, err := os.ReadFile(file)
	must(t, err)
	_, entries, err := tree.ReadIndex(bytes.NewReader(data))
	must(t, err)
	seen := 0
	for _, e := range entries {
		if e.Copy == nil {
			continue
		}
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(snap, treesDir, "data", string(e.Path)), &st))
		e.Copy = &tree.Seen{Inode: st.Ino, Ctime: st.Ctim.Nano()}
		seen++
	}
	if seen != 3 {
		t.Fatalf("%d copies were read back by the first pass, not 3", seen)
	}
	_, err = writeIndex(file, boot, entries)
	must(t, err)
}

// TestTornCopies damages copies between the passes. What the last pass can see, or what a power cut may have done unseen, is healed;
// under the same start of the system it believes the first pass, which is how it can be quick.
func TestTornCopies(t *testing.T) {
	for _, c := range []struct {
		what   string
		change bool // in the source as well
		forged bool
		boot   string
		heals  bool
	}{
		{"seen by the change time", false, false, bootA, true},
		{"seen by the change time, source changed", true, false, bootA, true},
		{"after a power cut", false, true, bootB, true},
		{"after a power cut, source changed", true, true, bootB, true},
		{"never, under one start of the system", false, true, bootA, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			boot(t, bootA)
			dir, snap, trees, copyOf := copied(t)
			for _, name := range []string{"large", "small"} {
				write(t, copyOf(name), "TORN", 1)
				must(t, os.Chtimes(copyOf(name), time.Time{}, mtime(t, filepath.Join(dir, name))))
			}
			if c.forged {
				forge(t, snap, bootA)
			}
			if c.change {
				write(t, filepath.Join(dir, "large"), "new", 4*block128)
				write(t, filepath.Join(dir, "small"), "n", 3)
				settled(t)
			}
			boot(t, c.boot)
			_, err := Finish(t.Context(), snap, trees, Info{Made: made}, nil)
			must(t, err)
			if !c.heals {
				if err := Verify(t.Context(), snap); !errors.Is(err, ErrDamaged) {
					t.Errorf("the last pass read everything back: %v", err)
				}
				return
			}
			must(t, Verify(t.Context(), snap))
			equal(t, "copy", capture(t, copyOf("")), capture(t, dir))
		})
	}
}

func mtime(t *testing.T, path string) time.Time {
	t.Helper()
	st, err := os.Stat(path)
	must(t, err)
	return st.ModTime()
}

// TestInterruptedPatch ends the last pass when it has written into the copy, lets the source change again, and goes on.
func TestInterruptedPatch(t *testing.T) {
	dir, snap, trees, copyOf := copied(t)
	before, err := os.Stat(copyOf("large"))
	must(t, err)
	write(t, filepath.Join(dir, "large"), "first", 0)
	write(t, filepath.Join(dir, "large"), "first", 3*block128)
	f, err := os.OpenFile(copyOf("large"), os.O_RDWR, 0) // what a killed pass leaves: some blocks new, one torn
	must(t, err)
	_, err = f.WriteAt([]byte("firs\x00"), 0)
	must(t, err)
	must(t, f.Close())
	write(t, filepath.Join(dir, "large"), "second", 2*block128)
	_, err = Finish(t.Context(), snap, trees, Info{Made: made}, nil)
	must(t, err)
	must(t, Verify(t.Context(), snap))
	equal(t, "copy", capture(t, copyOf("")), capture(t, dir))
	after, err := os.Stat(copyOf("large"))
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("the whole file was copied again")
	}
}

func TestLargeFileCutShortWhileCopied(t *testing.T) {
	byBlocks(t)
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	for _, name := range []string{"a", "b", "c"} {
		random(t, filepath.Join(dir, name), 3*block128)
	}
	snap, trees := filepath.Join(t.TempDir(), "snap"), []Tree{{"data", dir}}
	acted := false
	must(t, CopyAhead(t.Context(), snap, trees, func(done, _ int64) {
		if done > 0 && !acted {
			acted = true
			must(t, os.Truncate(filepath.Join(dir, "a"), 2*block128-1))
			must(t, os.Truncate(filepath.Join(dir, "b"), 0))
			write(t, filepath.Join(dir, "c"), "more", 5*block128)
		}
	}))
	_, err := Finish(t.Context(), snap, trees, Info{Made: made}, nil)
	must(t, err)
	equal(t, "copy", capture(t, filepath.Join(snap, treesDir, "data")), capture(t, dir))
	must(t, Verify(t.Context(), snap))
}

func TestReadBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	random(t, path, 3*block128+1)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	cp := newCopier(t.Context(), &meter{})
	blocks, err := cp.hashBlocks(f, 3*block128+1)
	must(t, err)
	e := &tree.Entry{Size: 3*block128 + 1, Blocks: blocks}
	must(t, cp.readBlocks(f, e, nil))
	write(t, path, "x", 2*block128)
	if err := cp.readBlocks(f, e, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a wrong block: %v", err)
	}
	if err := cp.readBlocks(f, e, doubts{false, false, true, false}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a wrong block in doubt: %v", err)
	}
	must(t, cp.readBlocks(f, e, doubts{true, true, false, true}))
	must(t, os.Truncate(path, 2*block128+5))
	if err := (block{at: 2 * block128, buf: make([]byte, block128)}).load(f); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that ends early: %v", err)
	}
}

// TestIndexOfLargeFile checks that an older Dhow, which knows no blocks, is not needed to read what is written, and the reverse.
func TestIndexOfLargeFile(t *testing.T) {
	_, snap, _, _ := copied(t)
	data, err := os.ReadFile(indexPath(snap, "data"))
	must(t, err)
	for line := range strings.Lines(string(data)) {
		var e tree.Entry
		must(t, json.Unmarshal([]byte(line), &e))
		if e.Kind != tree.File {
			continue
		}
		if n := countBlocks(e.Size); len(e.Blocks) != n*32 || e.Copy == nil || e.SHA256 == "" {
			t.Errorf("%s has %d bytes of digests for %d blocks, seen %v", e.Path, len(e.Blocks), n, e.Copy)
		}
	}
}
