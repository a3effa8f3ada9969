package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/backup/tree/treetest"
)

func open(t *testing.T) *Archive {
	t.Helper()
	a, err := Open(filepath.Join(t.TempDir(), "archive"))
	must(t, err)
	return a
}

// small makes packs and runs so small that a test has many.
func small(t *testing.T) {
	pack, recent := fullPack, maxRecent
	fullPack, maxRecent = 200<<10, 40
	t.Cleanup(func() { fullPack, maxRecent = pack, recent })
}

func stream1(name string, data []byte) File {
	return File{name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

func contents(name, dir string, files ...File) Contents {
	n := 0
	_, _ = fmt.Sscanf(name, "b%d", &n)
	return Contents{Record: Record{Name: name, Made: day.Add(time.Duration(n) * time.Hour)}, Trees: []Tree{{"data", dir}}, Files: files}
}

func create(t *testing.T, a *Archive, c Contents) *Record {
	t.Helper()
	rec, err := a.Create(t.Context(), c, nil)
	must(t, err)
	return rec
}

func restore(t *testing.T, a *Archive, name, to string) {
	t.Helper()
	must(t, a.Restore(t.Context(), name, []Tree{{"data", to}}, nil))
}

func content1(t *testing.T, a *Archive, name, file string) []byte {
	t.Helper()
	r, err := a.OpenFile(t.Context(), name, file)
	must(t, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	must(t, err)
	return data
}

// sizeOf adds up the files in the folders of an archive.
func sizeOf(t *testing.T, a *Archive, subs ...string) (sum int64) {
	t.Helper()
	for _, sub := range subs {
		names, err := os.ReadDir(a.path(sub))
		must(t, err)
		for _, d := range names {
			info, err := d.Info()
			must(t, err)
			sum += info.Size()
		}
	}
	return sum
}

func namesIn(t *testing.T, a *Archive, sub string) string {
	t.Helper()
	list, err := os.ReadDir(a.path(sub))
	must(t, err)
	var names []string
	for _, d := range list {
		names = append(names, d.Name())
	}
	return strings.Join(names, " ")
}

// TestGenerations backs a random tree up again and again while it changes, deletes some backups, and restores each of the others,
// into a folder of its own and over one another.
func TestGenerations(t *testing.T) {
	small(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := treetest.NewForest(t, seed, filepath.Join(t.TempDir(), "tree"))
	a := open(t)
	want := map[string]map[string]string{}
	dumps := map[string][]byte{}
	for n := range 6 {
		f.Steps(40)
		must(t, os.RemoveAll(filepath.Join(f.Dir, "pages"))) // the forest may have moved a folder there
		must(t, os.WriteFile(filepath.Join(f.Dir, "pages"), noise(uint64(n), 400<<10), 0o600))
		name := fmt.Sprintf("b%d", n)
		dumps[name] = noise(uint64(100+n), 300_000)
		want[name] = treetest.Capture(t, f.Dir)
		rec := create(t, a, contents(name, f.Dir, stream1("db.sql", dumps[name])))
		if rec.Files[0].SHA256 != sha(dumps[name]).String() || rec.Trees[0].Files != len(want[name]) || rec.Trees[0].Unsteady != nil {
			t.Errorf("%s: %+v, want %d files", name, rec, len(want[name]))
		}
	}
	must(t, a.Delete(t.Context(), "b1", "b4", "never-made"))
	for _, name := range []string{"b1", "b4"} {
		delete(want, name)
		if _, err := a.Read(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s is deleted: %v", name, err)
		}
	}
	over := filepath.Join(t.TempDir(), "over")
	for name, tree := range want {
		must(t, a.Verify(t.Context(), name, nil))
		alone := filepath.Join(t.TempDir(), "alone")
		for _, to := range []string{alone, over, over} {
			restore(t, a, name, to)
			treetest.Equal(t, name, treetest.Capture(t, to), tree)
		}
		if !bytes.Equal(content1(t, a, name, "db.sql"), dumps[name]) {
			t.Errorf("%s: another dump", name)
		}
	}
	f.Outside()
	must(t, a.Delete(t.Context(), "b0", "b2", "b3", "b5"))
	if left := namesIn(t, a, packsDir) + namesIn(t, a, recordsDir); left != "" {
		t.Errorf("without backups there is left: %s", left)
	}
}

// readings counts how often files are read.
func readings(t *testing.T) *int {
	n := 0
	at(t, func(name string) error {
		if name == "archive/read-begin" {
			n++
		}
		return nil
	})
	return &n
}

// at replaces the fault points; f is called by one goroutine at a time.
func at(t *testing.T, f func(string) error) {
	old := point
	var one sync.Mutex
	point = func(name string) error {
		one.Lock()
		defer one.Unlock()
		return f(name)
	}
	t.Cleanup(func() { point = old })
}

func nothing(string) error { return nil }

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	for n := range 20 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), noise(uint64(n), 50_000), 0o600))
	}
	a := open(t)
	treetest.Settled(t)
	n := readings(t)
	create(t, a, contents("b0", dir))
	if *n != 20 {
		t.Errorf("the first backup read %d files", *n)
	}
	*n = 0
	rec := create(t, a, contents("b1", dir))
	if *n != 0 || rec.Bytes != 1_000_000 || rec.Stored > 4000 {
		t.Errorf("the second backup read %d files and stored %d of %d bytes", *n, rec.Stored, rec.Bytes)
	}
	// Files before and behind come and go, one is another one with the times of the old.
	must(t, os.Remove(filepath.Join(dir, "3")))
	must(t, os.Remove(filepath.Join(dir, "7")))
	st, err := os.Stat(filepath.Join(dir, "11"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "11"), noise(99, 50_000), 0o600))
	must(t, os.Chtimes(filepath.Join(dir, "11"), st.ModTime(), st.ModTime()))
	must(t, os.WriteFile(filepath.Join(dir, "0a"), noise(98, 50_000), 0o600))
	*n = 0
	rec = create(t, a, contents("b2", dir))
	if *n != 2 || rec.Stored < 100_000 || rec.Stored > 110_000 {
		t.Errorf("the third backup read %d files and stored %d bytes", *n, rec.Stored)
	}
	to := filepath.Join(t.TempDir(), "to")
	restore(t, a, "b2", to)
	treetest.Equal(t, "b2", treetest.Capture(t, to), treetest.Capture(t, dir))
	// A chunk that is not there any more is stored anew although its file did not change.
	must(t, os.RemoveAll(a.path(packsDir)))
	must(t, os.Mkdir(a.path(packsDir), 0o700))
	rec = create(t, a, contents("b3", dir))
	if rec.Stored < 19*50_000 {
		t.Errorf("with no packs left, %d bytes were stored", rec.Stored)
	}
	must(t, a.Verify(t.Context(), "b3", nil))
}

// TestChangesCostWhatTheyAre asserts the sizes of second backups.
func TestChangesCostWhatTheyAre(t *testing.T) {
	const size = 16 << 20
	page := func(b []byte) { // 1 % of the pages, far apart
		for at := 50 * blockSize; at < len(b); at += 100 * blockSize {
			copy(b[at+300:], "another value")
		}
	}
	for name, c := range map[string]struct {
		size   int
		change func(b []byte) []byte
		limit  int64 // of what is stored
	}{
		"pages of a database":    {size, func(b []byte) []byte { page(b); return b }, 260 << 10},
		"bytes put in at front":  {size + 77, func(b []byte) []byte { return append([]byte("a line\n"), b...) }, 600 << 10},
		"rows at the end":        {size + 77, func(b []byte) []byte { return append(b, noise(7, 10_000)...) }, 600 << 10},
		"a database that grows":  {size, func(b []byte) []byte { return append(b, noise(7, 4*blockSize)...) }, 140 << 10},
		"nothing but its times":  {size, func(b []byte) []byte { return b }, 70 << 10},
		"the same bytes, double": {size, func(b []byte) []byte { return append(b, b...) }, 140 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			data := noise(1, c.size)
			must(t, os.WriteFile(path, data, 0o600))
			a := open(t)
			create(t, a, contents("b0", dir))
			before := sizeOf(t, a, packsDir, recordsDir)
			must(t, os.WriteFile(path, c.change(data), 0o600))
			rec := create(t, a, contents("b1", dir))
			added := sizeOf(t, a, packsDir, recordsDir) - before
			if added > c.limit || rec.Stored > added || rec.Stored < added-4000 {
				t.Errorf("%d bytes more (stored: %d), at most %d are right", added, rec.Stored, c.limit)
			}
		})
	}
	t.Run("a dump with new rows", func(t *testing.T) {
		a := open(t)
		var dump bytes.Buffer
		r := rand.New(rand.NewPCG(1, 2))
		for n := range 100_000 {
			fmt.Fprintf(&dump, "insert into obs values (%d,%d,'%x');\n", n, r.IntN(3000), r.Uint64())
		}
		data := dump.Bytes()
		create(t, a, contents("b0", t.TempDir(), stream1("db.sql", data)))
		middle := len(data) / 2
		rec := create(t, a, contents("b1", t.TempDir(), stream1("db.sql", append(append(bytes.Clone(data[:middle]), "-- new\n"...), data[middle:]...))))
		if rec.Stored > 300<<10 {
			t.Errorf("a line in a dump of %d bytes costs %d", len(data), rec.Stored)
		}
	})
}

func TestHolesCostNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	must(t, f.Truncate(5<<30))
	_, err = f.WriteAt([]byte("in the middle"), 3<<30)
	must(t, err)
	must(t, f.Close())
	a := open(t)
	rec := create(t, a, contents("b0", dir))
	if rec.Stored > 10_000 || rec.Bytes > 100_000 {
		t.Errorf("stored %d of %d bytes", rec.Stored, rec.Bytes)
	}
	must(t, a.Verify(t.Context(), "b0", nil))
	to := filepath.Join(t.TempDir(), "to")
	restore(t, a, "b0", to)
	back, err := os.Open(filepath.Join(to, "sparse"))
	must(t, err)
	defer back.Close()
	st, err := back.Stat()
	must(t, err)
	got := make([]byte, 13)
	_, err = back.ReadAt(got, 3<<30)
	if err != nil || string(got) != "in the middle" || st.Size() != 5<<30 {
		t.Errorf("restored %q in %d bytes (%v)", got, st.Size(), err)
	}
	took := blocks(t, back.Name())
	if took > 100_000 {
		t.Errorf("the restored file takes %d bytes", took)
	}
}

func TestRestoreWritesOnlyWhatDiffers(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	for n := range 10 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), noise(uint64(n), 30_000+n), 0o600))
	}
	a := open(t)
	create(t, a, contents("b0", dir))
	restore(t, a, "b0", to)
	must(t, os.WriteFile(filepath.Join(to, "4"), []byte("other"), 0o600))
	must(t, os.Chmod(filepath.Join(to, "5"), 0o444))
	must(t, os.WriteFile(filepath.Join(to, "not in the backup"), nil, 0o600))
	written := 0
	at(t, func(name string) error {
		if name == "archive/restore-file" {
			written++
		}
		return nil
	})
	var last, total int64
	must(t, a.Restore(t.Context(), "b0", []Tree{{"data", to}}, func(done, all int64) { last, total = done, all }))
	if written != 1 || last != total || total != 300_045 {
		t.Errorf("%d files were written; progress ended at %d of %d", written, last, total)
	}
	treetest.Equal(t, "restored", treetest.Capture(t, to), treetest.Capture(t, dir))
}
