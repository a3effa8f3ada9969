package archive

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/agent/backup/tree/treetest"
)

func TestRoundTrips(t *testing.T) {
	treetest.NeedRoot(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := treetest.NewForest(t, seed, filepath.Join(t.TempDir(), "tree"))
	f.Steps(100)
	a, err := Open(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	dump := randomBytes(1, 3<<20)
	rec, err := a.Create(t.Context(), Contents{
		Record: Record{Name: "one", Made: time.Now()}, Trees: []Tree{{"data", f.Dir}},
		Files: []File{{"db.sql", func(w io.Writer) error { _, err := w.Write(dump); return err }}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", rec)
	if err := a.Verify(t.Context(), "one", nil); err != nil {
		t.Fatal(err)
	}
	want := treetest.Capture(t, f.Dir)
	to := filepath.Join(t.TempDir(), "to")
	for range 2 {
		if err := a.Restore(t.Context(), "one", []Tree{{"data", to}}, nil); err != nil {
			t.Fatal(err)
		}
		treetest.Equal(t, "restored", treetest.Capture(t, to), want)
	}
	r, err := a.OpenFile(t.Context(), "one", "db.sql")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, dump) {
		t.Fatal(err, len(got))
	}
	r.Close()
	if err := a.Delete(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	names, _ := os.ReadDir(a.path("packs"))
	if len(names) != 0 {
		t.Error(names)
	}
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = c.Read(b)
	return b
}
