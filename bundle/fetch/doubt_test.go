package fetch_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
)

// TestAWrongByteSparesTheBeginning: what came before, maybe over the line, stays until another whole is known to be right.
func TestAWrongByteSparesTheBeginning(t *testing.T) {
	const size, begun = 100_000, 80_000
	contents, wants := contentsOf(1, size)
	good, b := contents[0], wants[0].Forms[0]
	wrongEnd := append(bytes.Clone(good[:size-1]), good[size-1]^1)
	wrongBegin := append([]byte{good[0] ^ 1}, good[1:]...)
	shelves := func(sources ...bundle.Source) []bundle.Source { return sources }
	shelfOf := func(name string, data []byte) *shelf {
		s := newShelf(name)
		s.blobs[b.Digest] = data
		return s
	}
	const lan, line, other = "http://10.0.0.7:8911", "https://example.org/emr", "https://example.net/emr"
	away := newShelf(line)
	away.away = true
	for _, c := range []struct {
		name    string
		part    []byte
		sources []bundle.Source
		gave    []int // by each
		whole   bool
		here    int64    // of the part, when not whole
		wrong   []string // who lied
	}{
		{"neighbour lies", good, shelves(shelfOf(lan, wrongEnd)), []int{20_000 + size}, false, begun, []string{lan}},
		{"neighbour lies, line goes on", good, shelves(shelfOf(lan, wrongEnd), shelfOf(line, good)), []int{20_000 + size, 20_000}, true, 0, []string{lan}},
		{"stick lies, line goes on", good, shelves(shelfOf("/media/usb", wrongEnd), shelfOf(line, good)), []int{20_000 + size, 20_000}, true, 0, []string{"/media/usb"}},
		{"server lies, another goes on", good, shelves(shelfOf(other, wrongEnd), shelfOf(line, good)), []int{20_000, 20_000}, true, 0, []string{other}},
		{"server lies, the other is away", good, shelves(shelfOf(other, wrongEnd), away), []int{20_000 + size, 0}, false, begun, []string{other}},
		{"server lies, nobody else", good, shelves(shelfOf(line, wrongEnd)), []int{20_000 + size}, false, 0, []string{line}},
		{"wrong beginning, honest neighbour", wrongBegin, shelves(shelfOf(lan, good)), []int{20_000 + size}, true, 0, nil},
		{"wrong beginning, honest servers", wrongBegin, shelves(shelfOf(line, good), shelfOf(other, good)), []int{20_000 + size, 20_000}, true, 0, nil},
		{"wrong beginning, the other is away", wrongBegin, shelves(shelfOf(other, good), away), []int{20_000 + size, 0}, true, 0, nil},
		{"wrong beginning, neighbour and server", wrongBegin, shelves(shelfOf(lan, wrongEnd), shelfOf(line, good)), []int{20_000 + size, 20_000 + size}, true, 0, []string{lan}},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := bundletest.Store(t)
			part(t, site, b, c.part[:begun])
			moved, err := fetch.Blobs(ctx, site, c.sources, wants, quick)
			if c.whole != (err == nil) {
				t.Fatalf("error %v", err)
			}
			if c.whole {
				all(t, site, wants)
			} else if !errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("error %v", err)
			}
			if got := site.PartialSize(b); got != c.here {
				t.Errorf("the part has %d bytes, want %d", got, c.here)
			}
			for i, src := range c.sources {
				if got := src.(*shelf).total(); got != c.gave[i] {
					t.Errorf("%s gave %d bytes, want %d", src.Name(), got, c.gave[i])
				}
			}
			if len(moved.Wrong) != len(c.wrong) {
				t.Fatalf("wrong are %v, want %v", moved.Wrong, c.wrong)
			}
			for i, name := range c.wrong {
				if !strings.HasPrefix(moved.Wrong[i].Error(), name+": blob ") {
					t.Errorf("wrong is %v, want %s", moved.Wrong[i], name)
				}
			}
			noLeftovers(t, site)
		})
	}
}

// noLeftovers checks that nothing was forgotten beside the parts.
func noLeftovers(t *testing.T, site *bundle.Store) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(site.Dir(), "partial"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left", e.Name())
		}
	}
}

// TestADamagedStickSparesTheBeginning: of a stick as an archive and as a folder, whichever byte is wrong.
func TestADamagedStickSparesTheBeginning(t *testing.T) {
	p := publish(t, 100_000)
	w := largest(p.wants)
	b, data := w.Forms[0], contentOf(t, p.store, w.Forms[0])
	begun := len(data) * 4 / 5
	for _, at := range []int{100, len(data) - 5} {
		path := archive(t, p, ".tar")
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole[bytes.Index(whole, data[:64])+at] ^= 1
		dir := filepath.Join(t.TempDir(), "stick")
		if err := errors.Join(os.WriteFile(path, whole, 0o644), os.CopyFS(dir, os.DirFS(p.dir))); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(b.Digest)))
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if err := errors.Join(os.Remove(file), os.WriteFile(file, bad, 0o644)); err != nil {
			t.Fatal(err)
		}
		for _, spec := range []string{path, dir} {
			site := bundletest.Store(t)
			part(t, site, b, data[:begun])
			_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, spec)}, p.wants, quick)
			// A folder whose damage is in front of the part gives the right end: nothing is wrong then.
			if right := spec == dir && at < begun; right != (err == nil) || !right && !errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("%s, byte %d: error %v", spec, at, err)
			} else if got := site.PartialSize(b); !right && got != int64(begun) {
				t.Errorf("%s, byte %d: the part has %d bytes of %d", spec, at, got, begun)
			}
			noLeftovers(t, site)
		}
	}
}

// TestAGoodStickMakesUpForAWrongBeginning: an archive that is right replaces what is not.
func TestAGoodStickMakesUpForAWrongBeginning(t *testing.T) {
	p := publish(t, 100_000)
	b := largest(p.wants).Forms[0]
	site := bundletest.Store(t)
	part(t, site, b, bytes.Repeat([]byte("x"), 50_000))
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, archive(t, p, ".tar"))}, p.wants, quick); err != nil {
		t.Fatal(err)
	}
	all(t, site, p.wants)
	noLeftovers(t, site)
	if got := site.PartialSize(b); got != 0 {
		t.Errorf("%d bytes are left of the part", got)
	}
}
