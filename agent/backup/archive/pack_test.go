package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// packOf makes a pack with chunks in a folder and returns its path and what it holds.
func packOf(t *testing.T, chunks ...[]byte) (string, []packed) {
	t.Helper()
	dir := t.TempDir()
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	k, err := newPack(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		f := &frame{raw: c, out: c, chunks: []ref{{sha(c), uint32(len(c))}}}
		if err := k.add(f); err != nil {
			t.Fatal(err)
		}
	}
	info, err := k.seal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return packPath(dir, info.name), k.chunks
}

func TestPackTellsWhatItHolds(t *testing.T) {
	path, want := packOf(t, noise(1, 100), noise(2, 20_000), noise(3, 1))
	got, size, err := openPack(path)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
	data, err := os.ReadFile(path)
	if err != nil || int64(len(data)) != size || sha(data).String() != filepath.Base(path) {
		t.Errorf("the pack of %d bytes is named %s (%v)", size, filepath.Base(path), err)
	}
}

// Whatever is wrong with a pack's end, it is seen before anything is looked for in it.
func TestContentsAreChecked(t *testing.T) {
	path, _ := packOf(t, noise(1, 100), noise(2, 200))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) {
		if _, err := readContents(bytes.NewReader(data[:n]), int64(n)); err == nil {
			t.Errorf("cut short to %d of %d bytes it passes", n, len(data))
		}
	}
	for at := range data {
		bad := bytes.Clone(data)
		bad[at] ^= 4
		_, err := readContents(bytes.NewReader(bad), int64(len(bad)))
		if inFrames := at >= len(packMagic) && at < len(packMagic)+2*frameHeader+300; inFrames != (err == nil) {
			t.Errorf("a bit of byte %d: %v", at, err)
		}
	}
}

func TestParseContentsRefuses(t *testing.T) {
	good := appendContents(nil, []packed{{ref{digest{1}, 10}, 8, 0}, {ref{digest{2}, 10}, 8, 10}, {ref{digest{3}, 5}, 60, 0}})
	good = good[:len(good)-trailerSize]
	if all, err := parseContents(good, 1000); err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	set := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		le.PutUint32(b[at:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"frame before the first":  set(0, 7),
		"frame behind the last":   set(0, 2000),
		"frames out of order":     set(8+2*chunkEntry, 8),
		"no chunks":               set(4, 0),
		"more chunks than stand":  set(4, 4),
		"very many chunks":        set(4, 1<<31),
		"empty chunk":             set(8+32, 0),
		"huge chunk":              set(8+32, maxRaw+1),
		"chunks overflow a frame": set(8+32, maxRaw-1),
		"half an entry":           good[:len(good)-1],
		"half a head":             good[:4],
	} {
		if _, err := parseContents(b, 1000); !errors.Is(err, errPack) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadFrameRefuses(t *testing.T) {
	z, err := newUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	defer z.zstd.Close()
	head := func(stored, raw uint32, b string) *bytes.Reader {
		return bytes.NewReader(append(le.AppendUint32(le.AppendUint32(nil, stored), raw), b...))
	}
	for name, r := range map[string]*bytes.Reader{
		"nothing":            bytes.NewReader(nil),
		"ends early":         head(10, 10, "nine byte"),
		"grows":              head(10, 9, "ten  bytes"),
		"huge":               head(10, maxRaw+1, "ten  bytes"),
		"not zstd":           head(10, 20, "ten  bytes"),
		"another raw length": head(13, 20, "\x28\xb5\x2f\xfd\x04\x00\x21\x00\x00abcd"),
	} {
		if b, err := z.readFrame(r, 0, nil); err == nil {
			t.Errorf("%s: %q", name, b)
		}
	}
}

// The largest frame there can be, of bytes that compress well and of some that do not.
func TestLargestFrame(t *testing.T) {
	text := bytes.Repeat([]byte("no complaint, temperature 37.0; "), maxRaw/32)
	for name, all := range map[string][]byte{"text": text, "noise": noise(9, maxRaw)} {
		a, err := Open(t.TempDir())
		must(t, err)
		c, err := a.catalog()
		must(t, err)
		p, err := newPacker(t.Context(), c)
		must(t, err)
		var list []ref
		for _, b := range [][]byte{all[:targetFrame-1], all[targetFrame-1 : targetFrame-1+maxChunk]} {
			x, err := p.put(b)
			must(t, err)
			list = append(list, x)
		}
		must(t, p.finish())
		r, err := newReader(c, framesOfLists)
		must(t, err)
		var got []byte
		for _, x := range list {
			b, err := r.chunk(x)
			must(t, err)
			got = append(got, b...)
		}
		if !bytes.Equal(got, all[:len(got)]) || len(got) != maxRaw-1 {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
		r.close()
		c.close()
	}
}

func FuzzPack(f *testing.F) {
	body := append([]byte(packMagic), append(le.AppendUint32(le.AppendUint32(nil, 3), 3), "abc"...)...)
	f.Add(appendContents(body, []packed{{ref{sha([]byte("abc")), 3}, 8, 0}}))
	f.Add([]byte(packMagic + packEnd))
	f.Fuzz(func(t *testing.T, data []byte) {
		chunks, err := readContents(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		z, err := newUnpacker()
		if err != nil {
			t.Fatal(err)
		}
		defer z.zstd.Close()
		for _, k := range chunks {
			if k.size == 0 || k.off+k.size > maxRaw {
				t.Fatalf("accepted %+v", k)
			}
			if raw, err := z.readFrame(bytes.NewReader(data), k.frame, nil); err == nil && len(raw) > maxRaw {
				t.Fatalf("a frame of %d bytes", len(raw))
			}
		}
	})
}
