package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/backup/tree/treetest"
)

// twoBackups makes an archive of many packs with an index and two backups of a tree, and says what the second holds.
func twoBackups(t *testing.T) (a *Archive, dir string, want map[string]string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "photo"), noise(1, 300_001), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "table"), noise(2, 40*blockSize), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("no complaint\n", 20_000)), 0o600))
	must(t, os.Link(filepath.Join(dir, "text"), filepath.Join(dir, "twin")))
	a = open(t)
	create(t, a, contents("b0", dir, stream1("db.sql", noise(3, 100_000))))
	must(t, os.WriteFile(filepath.Join(dir, "new"), noise(4, 100_000), 0o600))
	create(t, a, contents("b1", dir, stream1("db.sql", noise(3, 110_000))))
	must(t, a.MarkVerified("b1", day, "read back"))
	return a, dir, treetest.Capture(t, dir)
}

func filesOf(t *testing.T, a *Archive) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != lockName {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// TestEveryFlippedBit turns a bit in every file of an archive, at several places: either it does not matter, or Verify and Restore
// say that the backup is damaged, and Restore never gives out a wrong byte.
func TestEveryFlippedBit(t *testing.T) {
	small(t)
	a, _, want := twoBackups(t)
	seen := 0
	for _, path := range filesOf(t, a) {
		good, err := os.ReadFile(path)
		must(t, err)
		for _, place := range []int{0, len(good) / 3, len(good) / 2, len(good) - 20, len(good) - 1} {
			if place < 0 {
				continue
			}
			bad := append([]byte(nil), good...)
			bad[place] ^= 8
			must(t, os.WriteFile(path, bad, 0o600))
			what := fmt.Sprintf("byte %d of %d of %s", place, len(good), path[len(a.dir):])
			verr := a.Verify(t.Context(), "b1", nil)
			if verr != nil {
				seen++
				if !errors.Is(verr, ErrDamaged) {
					t.Errorf("%s: %v", what, verr)
				}
			}
			to := filepath.Join(t.TempDir(), "to")
			err := a.Restore(t.Context(), "b1", []Tree{{"data", to}}, nil)
			if err != nil && (!errors.Is(err, ErrDamaged) || verr == nil) {
				t.Errorf("%s: verified with %v, restored with %v", what, verr, err)
			}
			if err == nil {
				treetest.Equal(t, what, treetest.Capture(t, to), want)
			}
			if err := os.RemoveAll(to); err != nil {
				t.Fatal(err)
			}
			// Nothing is repaired by chance: put it back, unless the index was given up.
			if _, err := os.Stat(path); err == nil {
				must(t, os.WriteFile(path, good, 0o600))
			}
			must(t, os.RemoveAll(a.path(damagedDir)))
			must(t, os.Mkdir(a.path(damagedDir), 0o700))
		}
	}
	if seen < 20 {
		t.Errorf("only %d flipped bits were seen", seen)
	}
	must(t, a.Verify(t.Context(), "b1", nil))
}

// TestTheNextBackupMends damages a pack, verifies, and makes another backup of the same files.
func TestTheNextBackupMends(t *testing.T) {
	small(t)
	for name, harm := range map[string]func(path string){
		"a flipped bit": func(path string) { flip(t, path) },
		"cut short":     func(path string) { must(t, os.Truncate(path, 1000)) },
		"missing":       func(path string) { must(t, os.Remove(path)) },
		"empty":         func(path string) { must(t, os.Truncate(path, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			a, dir, want := twoBackups(t)
			packs := strings.Fields(namesIn(t, a, packsDir))
			for _, p := range packs {
				harm(a.path(packsDir, p))
			}
			for _, backup := range []string{"b0", "b1"} {
				if err := a.Verify(t.Context(), backup, nil); !errors.Is(err, ErrDamaged) {
					t.Errorf("%s verifies: %v", backup, err)
				}
			}
			// What is marked may still hold what b1 needs; what is not there makes that unknown.
			if err := a.Delete(t.Context(), "b0"); !errors.Is(err, ErrDamaged) && (err != nil || name != "a flipped bit") {
				t.Errorf("space was freed although nobody knows what b1 needs: %v", err)
			}
			create(t, a, contents("b2", dir, stream1("db.sql", noise(3, 110_000))))
			must(t, a.Verify(t.Context(), "b2", nil))
			to := filepath.Join(t.TempDir(), "to")
			restore(t, a, "b2", to)
			treetest.Equal(t, "b2", treetest.Capture(t, to), want)
			must(t, a.Delete(t.Context(), "b1"))
			must(t, a.Verify(t.Context(), "b2", nil))
			if left := namesIn(t, a, damagedDir); left != "" {
				t.Errorf("notes on packs that are gone: %s", left)
			}
		})
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	for at := 40; at < len(data)/2; at += 5000 {
		data[at] ^= 1
	}
	must(t, os.WriteFile(path, data, 0o600))
}

// TestDamageIsNamed looks at the words, and that a restore which cannot end well does not begin.
func TestDamageIsNamed(t *testing.T) {
	small(t)
	a, _, _ := twoBackups(t)
	// The pack with the middle of "photo".
	rec, r, end, err := a.reading("b1")
	must(t, err)
	entries, err := rec.Trees[0].read(r)
	must(t, err)
	list := &extents{r: r, refs: rec.Trees[0].Extents}
	pack := ""
	for _, e := range entries {
		if hasContent(e) {
			must(t, list.skip(e.Size, func(x extent) error {
				s, err := r.c.find(x.id)
				if string(e.Path) == "photo" {
					pack = r.c.packs[s.pack].name.String()
				}
				return err
			}))
		}
	}
	end()
	path := a.path(packsDir, pack)
	good, err := os.ReadFile(path)
	must(t, err)
	help := " (use another backup; the next one stores anew what is damaged)"

	to := t.TempDir()
	must(t, os.WriteFile(filepath.Join(to, "precious"), nil, 0o600))
	must(t, os.Remove(path))
	missing := "volume data: photo: the backup is damaged: pack " + pack + " is missing or cut short" + help
	for range 2 {
		err := a.Restore(t.Context(), "b1", []Tree{{"data", to}}, nil)
		if err == nil || err.Error() != "cannot restore backup b1: "+missing && !strings.Contains(err.Error(), "a part is missing") {
			t.Errorf("%v\nwant %s", err, missing)
		}
		if got := treetest.Capture(t, to); len(got) != 2 {
			t.Errorf("it has begun: %v", got)
		}
		must(t, os.WriteFile(path, good[:len(good)-1], 0o600))
	}
	bad := append([]byte(nil), good...)
	for at := 100; at < len(bad)-2000; at += 100 {
		bad[at] ^= 1
	}
	must(t, os.WriteFile(path, bad, 0o600))
	err = a.Verify(t.Context(), "b1", nil)
	want := "photo: the backup is damaged: pack " + pack + " does not hold what was written" + help
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v\nwant … %s", err, want)
	}
	if got := namesIn(t, a, damagedDir); got != pack {
		t.Errorf("marked as damaged: %q", got)
	}
	if _, err := a.Objects("b1"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged backup is copied: %v", err)
	}
}

// The index is only an index.
func TestIndexIsMadeAnew(t *testing.T) {
	small(t)
	a, dir, want := twoBackups(t)
	runs := strings.Fields(namesIn(t, a, indexDir))
	if len(runs) == 0 {
		t.Fatal("there is no index to lose")
	}
	for name, harm := range map[string]func(){
		"removed": func() { must(t, os.RemoveAll(a.path(indexDir))) },
		"emptied": func() {
			for _, r := range strings.Fields(namesIn(t, a, indexDir)) {
				must(t, os.Truncate(a.path(indexDir, r), 0))
			}
		},
		"damaged inside": func() {
			for _, r := range strings.Fields(namesIn(t, a, indexDir)) {
				data, err := os.ReadFile(a.path(indexDir, r))
				must(t, err)
				data[3000] ^= 1
				must(t, os.WriteFile(a.path(indexDir, r), data, 0o600))
			}
		},
		"doubled": func() {
			for _, r := range strings.Fields(namesIn(t, a, indexDir)) {
				data, err := os.ReadFile(a.path(indexDir, r))
				must(t, err)
				must(t, os.WriteFile(a.path(indexDir, "0"+r), data, 0o600))
			}
		},
	} {
		harm()
		again, err := Open(a.dir)
		must(t, err)
		must(t, again.Verify(t.Context(), "b1", nil))
		rec := create(t, again, contents("c", dir))
		if rec.Stored > 3000 {
			t.Errorf("%s: %d bytes stored again", name, rec.Stored)
		}
		must(t, again.Delete(t.Context(), "c"))
	}
	to := filepath.Join(t.TempDir(), "to")
	restore(t, a, "b1", to)
	treetest.Equal(t, "b1", treetest.Capture(t, to), want)
}
