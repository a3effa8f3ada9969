package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dhow/agent/backup/tree"

	"golang.org/x/sys/unix"
)

const (
	bootA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	bootB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
)

// boot starts the system anew, as far as the package can see.
func boot(t *testing.T, id string) {
	t.Helper()
	old := bootID
	t.Cleanup(func() { bootID = old })
	bootID = func() string { return id }
}

// boots are what may stand in an index and what the system says of itself later, and whether metadata counts then.
var boots = []struct {
	what, recorded, now string
	trusted             bool
}{
	{"the same boot", bootA, bootA, true},
	{"another boot", bootA, bootB, false},
	{"an index without a boot", "", bootA, false},
	{"a torn boot id", bootA[:17], bootA, false},
	{"a boot that is not known now", bootA, "", false},
	{"no boot known ever", "", "", false},
}

// overwrite changes the content of a file in place and leaves size, modification time and inode as they were. The change time
// cannot be set back; record makes an index say that it is what it was.
func overwrite(t *testing.T, file, content string) {
	t.Helper()
	st, err := os.Stat(file)
	must(t, err)
	if st.Size() != int64(len(content)) {
		t.Fatalf("%q has another size than the file", content)
	}
	must(t, os.WriteFile(file, []byte(content), 0o644))
	must(t, os.Chtimes(file, st.ModTime(), st.ModTime()))
}

// record writes the change times that the files of a tree have now, and a boot id, into the index of a snapshot, and the
// checksum of that into its record when there is one.
func record(t *testing.T, snap string, volume Tree, boot string) {
	t.Helper()
	index := indexPath(snap, volume.Name)
	data, err := os.ReadFile(index)
	must(t, err)
	_, entries, err := tree.ReadIndex(bytes.NewReader(data))
	must(t, err)
	for _, e := range entries {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(volume.Path, string(e.Path)), &st))
		e.Ctime = st.Ctim.Nano()
		if e.Kind == tree.File && (e.Fresh || e.Mtime != st.Mtim.Nano() || e.Inode != st.Ino) {
			t.Fatalf("%s does not look unchanged", e.Path)
		}
	}
	sum, err := writeIndex(index, boot, entries)
	must(t, err)
	s, err := Read(snap)
	if errors.Is(err, ErrIncomplete) {
		return
	}
	must(t, err)
	s.Trees[0].Index = sum
	must(t, s.write(snap))
}

func holds(t *testing.T, file, want string) {
	t.Helper()
	if data, err := os.ReadFile(file); err != nil || string(data) != want {
		t.Errorf("%s holds %q (%v), want %q", file, data, err, want)
	}
}

// powerCut copies a tree with the files "a" and "page" under boot A, and then overwrites "page" without a trace in metadata.
func powerCut(t *testing.T, recorded string) (snap string, trees []Tree) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	for _, name := range []string{"a", "page"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644))
	}
	settled(t)
	boot(t, bootA)
	snap, trees = filepath.Join(t.TempDir(), "snap"), []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), snap, trees, nil))
	overwrite(t, filepath.Join(dir, "page"), "new")
	settled(t)
	record(t, snap, trees[0], recorded)
	return snap, trees
}

func TestPassAfterPowerCut(t *testing.T) {
	for _, c := range boots {
		for _, ahead := range []string{"the last pass", "the first pass again"} {
			t.Run(ahead+" with "+c.what, func(t *testing.T) {
				snap, trees := powerCut(t, c.recorded)
				copied := func(name string) string { return filepath.Join(snap, treesDir, "data", name) }
				var before, after unix.Stat_t
				must(t, unix.Lstat(copied("a"), &before))
				pin, err := os.Open(copied("a")) // so that its inode number is not given out again
				must(t, err)
				defer pin.Close()
				boot(t, c.now)
				must(t, os.Chmod(copied("a"), 0o600)) // an attribute that the power cut took from the copy
				if ahead == "the first pass again" {
					must(t, CopyAhead(t.Context(), snap, trees, nil))
				}
				_, err = Finish(t.Context(), snap, trees, Info{Made: made}, nil)
				must(t, err)
				must(t, Verify(t.Context(), snap))
				must(t, unix.Lstat(copied("a"), &after))
				if before.Ino != after.Ino {
					t.Error("a file with the same content was copied again")
				}
				if c.trusted {
					holds(t, copied("page"), "old") // metadata counts: there was no look at the content
					return
				}
				holds(t, copied("page"), "new")
				equal(t, "copy", capture(t, filepath.Join(snap, treesDir, "data")), capture(t, trees[0].Path))
			})
		}
	}
}

// TestPassInterruptedAfterPowerCut interrupts the first pass after the power cut before it comes to the file: the index that it
// leaves must not vouch for what it took over unseen.
func TestPassInterruptedAfterPowerCut(t *testing.T) {
	snap, trees := powerCut(t, bootA)
	boot(t, bootB)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := CopyAhead(ctx, snap, trees, func(done, _ int64) {
		if done > 0 { // "a" is settled
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	f, err := os.Open(indexPath(snap, "data"))
	must(t, err)
	defer f.Close()
	recorded, entries, err := tree.ReadIndex(f)
	must(t, err)
	if recorded != bootB || len(entries) != 3 || entries[1].Fresh || !entries[2].Fresh {
		t.Errorf("the index of boot %s has %d entries", recorded, len(entries))
	}
	_, err = Finish(t.Context(), snap, trees, Info{Made: made}, nil)
	must(t, err)
	holds(t, filepath.Join(snap, treesDir, "data", "page"), "new")
}

func TestRestoreAfterPowerCut(t *testing.T) {
	for _, c := range boots {
		t.Run(c.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			newForest(t, 1, dir)
			path := func(name string) string { return filepath.Join(dir, name) }
			for _, name := range []string{"a", "page"} {
				must(t, os.WriteFile(path(name), []byte("old"), 0o644))
			}
			settled(t)
			boot(t, bootA)
			snap, trees, want := snapshot(t, dir)
			overwrite(t, path("page"), "new")
			record(t, snap, trees[0], c.recorded)
			var before, after unix.Stat_t
			must(t, unix.Lstat(path("a"), &before))
			boot(t, c.now)
			must(t, Restore(t.Context(), snap, trees, nil))
			must(t, unix.Lstat(path("a"), &after))
			if before.Ino != after.Ino {
				t.Error("a file with the same content was copied again")
			}
			if c.trusted {
				holds(t, path("page"), "new") // metadata counts: there was no look at the content
				return
			}
			equal(t, "restored", capture(t, dir), want)
		})
	}
}

func TestBootID(t *testing.T) {
	id := bootID()
	if len(id) != 36 || id != bootID() {
		t.Errorf("the system's boot is %q, then %q", id, bootID())
	}
	dir := filepath.Join(t.TempDir(), "tree")
	newForest(t, 1, dir)
	snap, _, _ := snapshot(t, dir)
	data, err := os.ReadFile(indexPath(snap, "data"))
	must(t, err)
	if want := `{"format":1,"boot":"` + id + `"}` + "\n"; !bytes.HasPrefix(data, []byte(want)) {
		t.Errorf("the index begins with %.80q", data)
	}
}
