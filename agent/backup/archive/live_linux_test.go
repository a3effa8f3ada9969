package archive

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dhow/agent/backup/tree/treetest"
)

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return int64(st.Blocks) * 512
}

// TestLiveTrees changes files at the worst moments of a backup.
func TestLiveTrees(t *testing.T) {
	big := noise(1, 700_000)
	for name, c := range map[string]struct {
		change   func(path string, time int) // called when the file has been read for the first and the second time
		want     []byte                      // nil: left out
		unsteady bool
	}{
		"changes once": {func(path string, time int) {
			if time == 0 {
				must(t, os.WriteFile(path, big[:500_000], 0o600))
			}
		}, big[:500_000], false},
		"changes always": {func(path string, time int) {
			must(t, os.WriteFile(path, big[:600_000+time], 0o600))
		}, big[:600_000], true},
		"grows always": {func(path string, _ int) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("x")
			must(t, err)
			must(t, f.Close())
		}, append(bytes.Clone(big), 'x'), true},
		"vanishes": {func(path string, time int) {
			must(t, os.WriteFile(path, []byte("x"), 0o600))
			must(t, os.Remove(path))
		}, nil, false},
		"becomes a folder": {func(path string, time int) {
			must(t, os.WriteFile(path, []byte("x"), 0o600))
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, nil, false},
		"becomes a fifo": {func(path string, time int) {
			must(t, os.WriteFile(path, []byte("x"), 0o600))
			must(t, os.Remove(path))
			must(t, unix.Mkfifo(path, 0o600))
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			must(t, os.WriteFile(path, big, 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "g"), []byte("the next"), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("the one before"), 0o600))
			a, times := open(t), 0
			reads := 0
			at(t, func(p string) error {
				if p == "archive/read-begin" {
					reads++
				}
				if p == "archive/read-end" && reads > 1 && times < 2 && reads-times == 2 {
					c.change(path, times)
					times++
				}
				return nil
			})
			rec := create(t, a, contents("b0", dir))
			if got := slices.Equal(rec.Trees[0].Unsteady, []string{"f"}); got != c.unsteady {
				t.Errorf("unsteady: %q", rec.Trees[0].Unsteady)
			}
			must(t, a.Verify(t.Context(), "b0", nil))
			to := filepath.Join(t.TempDir(), "to")
			restore(t, a, "b0", to)
			got, err := os.ReadFile(filepath.Join(to, "f"))
			if c.want == nil && !os.IsNotExist(err) {
				t.Errorf("it is there with %d bytes (%v)", len(got), err)
			}
			if c.want != nil && !bytes.Equal(got, c.want) {
				t.Errorf("restored %d bytes, want %d (%v)", len(got), len(c.want), err)
			}
			if next, err := os.ReadFile(filepath.Join(to, "g")); err != nil || string(next) != "the next" {
				t.Errorf("the next file has %q (%v)", next, err)
			}
			if want := int64(len(c.want) + len("the next") + len("the one before")); rec.Bytes != want {
				t.Errorf("%d bytes, want %d", rec.Bytes, want)
			}
			// What was kept of it proves nothing: the next backup has it as it is.
			at(t, nothing)
			create(t, a, contents("b1", dir))
			restore(t, a, "b1", to)
			treetest.Equal(t, "next", treetest.Capture(t, to), treetest.Capture(t, dir))
		})
	}
}

// A file with three names of which the first goes away keeps its content under the others.
func TestFirstNameVanishes(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), noise(1, 1000), 0o600))
	for _, name := range []string{"b", "c", "d"} {
		must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, name)))
	}
	a := open(t)
	gone := 0
	vanish := File{"x", func(io.Writer) error { // after the tree was listed, before it is read
		for _, name := range []string{"a", "b"} {
			must(t, os.Remove(filepath.Join(dir, name)))
			gone++
		}
		return nil
	}}
	rec := create(t, a, contents("b0", dir, vanish))
	if gone != 2 || rec.Trees[0].Files != 3 || rec.Bytes != 1000 {
		t.Errorf("%d files with %d bytes", rec.Trees[0].Files, rec.Bytes)
	}
	to := filepath.Join(t.TempDir(), "to")
	restore(t, a, "b0", to)
	got := treetest.Capture(t, to)
	want := treetest.Capture(t, dir)
	delete(got, ".")
	delete(want, ".")
	treetest.Equal(t, "restored", got, want)
}

func TestOrderOfPaths(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"a/x", "a/b/c", "a b", "a!", "a0", "ab/d", "\x01z", "a.b/c"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, p)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, p), []byte(strings.Repeat(p, 3)), 0o600))
	}
	a := open(t)
	treetest.Settled(t)
	n := readings(t)
	create(t, a, contents("b0", dir))
	*n = 0
	create(t, a, contents("b1", dir))
	if *n != 0 {
		t.Errorf("%d files were read again", *n)
	}
}
