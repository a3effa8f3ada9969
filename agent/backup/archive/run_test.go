package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

func sha(b []byte) digest { return sha256.Sum256(b) }

// placesOf makes n places, sorted; some share the eight bytes that fences know.
func placesOf(seed, n int) sorted {
	var list sorted
	for i := range n {
		id := sha(fmt.Append(nil, seed, i))
		if i%50 == 0 {
			copy(id[:8], "twins   ")
		}
		list = append(list, place{id, spot{uint32(i % 3), uint32(i), uint32(2 * i)}})
	}
	slices.SortFunc(list, func(a, b place) int { return bytes.Compare(a.id[:], b.id[:]) })
	return list
}

var threePacks = []packInfo{{digest{1}, 100}, {digest{2}, 200}, {digest{3}, 300}}

func runOf(t testing.TB, dir string, packs []packInfo, local map[uint32]uint32, cursors ...cursor) *run {
	t.Helper()
	path := filepath.Join(dir, "a.run")
	if err := writeRun(path, cursors, packs, local); err != nil {
		t.Fatal(err)
	}
	r, err := openRun(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.f.Close() })
	for n := range packs {
		r.global = append(r.global, uint32(n))
	}
	return r
}

var allThree = map[uint32]uint32{0: 0, 1: 1, 2: 2}

func TestRunFindsWhatItHolds(t *testing.T) {
	var buf [runBlock]byte
	for _, n := range []int{0, 1, runPerBlock, runPerBlock + 1, 20_000} {
		list := placesOf(1, n)
		all := slices.Clone(list)
		r := runOf(t, t.TempDir(), threePacks, allThree, &list)
		if r.n != n || !slices.Equal(r.packs, threePacks) {
			t.Fatalf("%d entries, packs %v", r.n, r.packs)
		}
		for i, p := range all {
			at, s, err := r.find(p.id, &buf)
			if err != nil || at != i || s != p.spot {
				t.Fatalf("%d of %d: %d %v (%v), want %v", i, n, at, s, err, p.spot)
			}
		}
		for i := range 1000 {
			id := sha(fmt.Append(nil, "unknown", i))
			if i%10 == 0 {
				copy(id[:8], "twins   ")
			}
			if at, _, err := r.find(id, &buf); err != nil || at != -1 {
				t.Fatalf("found what is not there at %d (%v)", at, err)
			}
		}
	}
}

func TestMergeKeepsEachChunkOnce(t *testing.T) {
	a, b := placesOf(1, 500), placesOf(2, 700)
	twice := slices.Clone(a[100:200]) // the same chunks, in another pack
	for i := range twice {
		twice[i].pack = 2
		twice[i].off = 9999
	}
	b = append(b, twice...)
	slices.SortFunc(b, func(a, b place) int { return bytes.Compare(a.id[:], b.id[:]) })
	want := len(a) + len(b) - len(twice)
	r := runOf(t, t.TempDir(), threePacks, allThree, &a, &b)
	if r.n != want {
		t.Errorf("%d entries, want %d", r.n, want)
	}
	c := runCursor{r: r}
	var last digest
	for n := 0; ; n++ {
		p, err := c.next()
		if err == io.EOF && n == want {
			break
		}
		if err != nil || n > 0 && bytes.Compare(last[:], p.id[:]) >= 0 || p.off == 9999 {
			t.Fatalf("entry %d: %v after %v (%v)", n, p, last, err)
		}
		last = p.id
	}
	// Without the packs that are gone.
	all := placesOf(1, 300)
	r = runOf(t, t.TempDir(), threePacks[1:2], map[uint32]uint32{1: 0}, &all)
	if r.n != 100 {
		t.Errorf("%d entries of one pack of three", r.n)
	}
}

// A bit of a run is never wrong unseen: it is refused when it is opened, or when the block is read.
func TestRunIsChecked(t *testing.T) {
	list := placesOf(1, 150)
	all := slices.Clone(list)
	r := runOf(t, t.TempDir(), threePacks, allThree, &list)
	data, err := os.ReadFile(r.f.Name())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.run")
	var buf [runBlock]byte
	for at := 0; at < len(data); at += 1 + at%97 {
		bad := bytes.Clone(data)
		bad[at] ^= 32
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openRun(path)
		if err != nil {
			continue
		}
		r.global = []uint32{0, 1, 2}
		seen := false
		for i, p := range all {
			n, s, err := r.find(p.id, &buf)
			if err == nil && (n != i || s != p.spot) {
				t.Fatalf("a bit of byte %d: wrong answer", at)
			}
			seen = seen || err != nil
		}
		_ = r.f.Close()
		if !seen {
			t.Errorf("a bit of byte %d of %d is not seen", at, len(data))
		}
	}
	for n := 0; n < len(data); n += 13 {
		if _, err := readRun(bytes.NewReader(data[:n]), int64(n)); err == nil {
			t.Errorf("cut short to %d bytes it passes", n)
		}
	}
}

// TestManyChunks fills a catalog with half a million chunks: what stays in memory does not grow with them.
func TestManyChunks(t *testing.T) {
	a, err := Open(t.TempDir())
	must(t, err)
	c, err := a.catalog()
	must(t, err)
	defer c.close()
	const packs, each = 50, 10_000
	chunks := make([]packed, each)
	id := func(pack, i int) (d digest) {
		le.PutUint64(d[:], uint64(pack*each+i)*0x9e3779b97f4a7c15) // spread
		le.PutUint64(d[8:], uint64(pack*each+i))
		return d
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for p := range packs {
		for i := range chunks {
			chunks[i] = packed{ref{id(p, i), 1}, uint32(i), 7}
		}
		must(t, c.add(packInfo{sha(fmt.Append(nil, p)), 1000}, chunks))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d runs, %.1f MB in memory", len(c.runs), float64(grown)/1e6)
	if grown > 12<<20 || len(c.runs) > 8 {
		t.Errorf("half a million chunks take %d bytes of memory in %d runs", grown, len(c.runs))
	}
	for n := range 20_000 {
		p, i := n%packs, n*7919%each
		s, err := c.find(id(p, i))
		if err != nil || s != (spot{uint32(p), uint32(i), 7}) {
			t.Fatalf("chunk %d of pack %d: %v (%v)", i, p, s, err)
		}
		if ok, err := c.has(id(packs+p, i)); err != nil || ok {
			t.Fatalf("found what is not there (%v)", err)
		}
	}
}

func FuzzRun(f *testing.F) {
	list := placesOf(1, 100)
	r := runOf(f, f.TempDir(), threePacks, allThree, &list)
	data, err := os.ReadFile(r.f.Name())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(runMagic + runEnd))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readRun(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if r.n > len(data)/runEntry || len(r.packs) > len(data) || len(r.fences) > len(data) {
			t.Fatalf("accepted %d entries in %d bytes", r.n, len(data))
		}
	})
}
