package trust_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func TestReadFingerprint(t *testing.T) {
	for text, want := range map[string]string{
		"7731-0482-9955-1206":      "7731-0482-9955-1206",
		"7731048299551206":         "7731-0482-9955-1206",
		" 7731 0482 9955 1206\t":   "7731-0482-9955-1206",
		"7731\u00a00482–9955.1206": "7731-0482-9955-1206",
		"77-31-04-82-99-55-12-06":  "7731-0482-9955-1206",
	} {
		if got, err := trust.ReadFingerprint(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                     "a fingerprint is 16 digits, such as 7731-0482-9955-1206; this has 0",
		"7731-0482-9955-120":   "a fingerprint is 16 digits, such as 7731-0482-9955-1206; this has 15",
		"7731-0482-9955-12066": "a fingerprint is 16 digits, such as 7731-0482-9955-1206; this has 17",
		"7731-0482-9955-I206":  "a fingerprint is 16 digits, such as 7731-0482-9955-1206; 'I' is none of them",
	} {
		if _, err := trust.ReadFingerprint(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func openAt(t *testing.T, dir string) *trust.Client {
	t.Helper()
	c, err := trust.Open(dir, trust.Options{Now: func() time.Time { return start.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A site remembers the whole chain of roots, wherever it began and however often it was stopped on the way.
func TestChainOfRoots(t *testing.T) {
	f := newForge(t, "drc")
	for range 3 {
		f.rotate(func() { f.keys[root] = append(f.keys[root][1:], newKey(t)) })
	}
	files := f.next()
	roots := [][]byte{
		files["metadata/1.root.json"], files["metadata/2.root.json"], files["metadata/3.root.json"], files["metadata/4.root.json"],
	}
	for begin := range roots {
		dir := t.TempDir()
		if err := trust.Init(dir, roots[begin]); err != nil {
			t.Fatal(err)
		}
		if c := openAt(t, dir); len(c.Roots()) != 1 {
			t.Errorf("from root %d: %d roots before the first look", begin+1, len(c.Roots()))
		}
		for _, last := range []int{2, 4} { // an interrupted walk goes on
			some := with(files, nil)
			if last < 4 {
				delete(some, "metadata/4.root.json")
				delete(some, "metadata/3.root.json")
				delete(some, find(files, "snapshot.json"))
			}
			_, err := openAt(t, dir).Refresh(context.Background(), manifesttest.NewSource(some), false)
			if last == 4 && err != nil {
				t.Fatal(err)
			}
		}
		got := openAt(t, dir).Roots()
		if len(got) != 4-begin {
			t.Fatalf("from root %d: %d roots", begin+1, len(got))
		}
		for n, data := range got {
			if !trust.SameRoot(data, roots[begin+n]) {
				t.Errorf("from root %d: place %d holds another root", begin+1, n)
			}
		}
	}
	chain, err := trust.SourceRoots(context.Background(), manifesttest.NewSource(files))
	if err != nil || len(chain) != 4 {
		t.Fatalf("%d roots: %v", len(chain), err)
	}
	third, err := trust.Fingerprint(roots[2])
	if err != nil {
		t.Fatal(err)
	}
	if n, err := trust.FindRoot(chain, third); n != 2 || err != nil {
		t.Errorf("found at %d: %v", n, err)
	}
	if n, err := trust.FindRoot(chain, "0000-0000-0000-0000"); n != -1 || err != nil {
		t.Errorf("found at %d: %v", n, err)
	}
}

// A source's chain ends before what does not follow.
func TestChainBreaksOff(t *testing.T) {
	f := newForge(t, "drc")
	first := f.files["metadata/1.root.json"]
	f.rotate(func() { f.keys[root] = append(f.keys[root][1:], newKey(t)) })
	f.version[root] = 3
	f.root([]ed25519.PrivateKey{f.keys[root][0]}) // one signature where two are needed
	half := f.files["metadata/3.root.json"]
	f.root(f.keys[root])
	second, third := f.files["metadata/2.root.json"], f.files["metadata/3.root.json"]
	for name, c := range map[string]struct {
		files map[string][]byte
		want  int
	}{
		"whole":       {map[string][]byte{"metadata/2.root.json": second, "metadata/3.root.json": third}, 3},
		"a gap":       {map[string][]byte{"metadata/3.root.json": third}, 1},
		"skips one":   {map[string][]byte{"metadata/2.root.json": third}, 1},
		"a page":      {map[string][]byte{"metadata/2.root.json": []byte("<html>login</html>")}, 1},
		"half":        {map[string][]byte{"metadata/2.root.json": second, "metadata/3.root.json": half}, 2},
		"the other's": {map[string][]byte{"metadata/2.root.json": newForge(t, "other").files["metadata/1.root.json"]}, 1},
	} {
		c.files["metadata/1.root.json"] = first
		chain, err := trust.SourceRoots(context.Background(), manifesttest.NewSource(c.files))
		if err != nil || len(chain) != c.want {
			t.Errorf("%s: %d roots, %v", name, len(chain), err)
		}
	}
	if err := trust.Follows(first, third); !errors.Is(err, trust.ErrDamaged) || err.Error() != "root 3 is damaged: it can't come after root 1" {
		t.Errorf("skipped: %v", err)
	}
	if _, err := trust.SourceRoots(context.Background(), manifesttest.NewSource(nil)); err == nil {
		t.Error("no root at all is no error")
	}
}
