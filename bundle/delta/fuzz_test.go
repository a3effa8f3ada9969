package delta

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"dhow/bundle"
)

// expected reports whether an error is one that hostile bytes may cause.
func expected(err error) bool {
	for _, known := range []error{bundle.ErrDamaged, bundle.ErrTooLarge, ErrWrongBase, ErrMismatch, ErrUnknownFeature} {
		if errors.Is(err, known) {
			return true
		}
	}
	return err == nil
}

// FuzzHeader reads headers whose checksum is right.
func FuzzHeader(f *testing.F) {
	d, _ := create(f, [][]byte{text(1, 3000)}, text(1, 2000))
	f.Add(d[:headerSize(1)-32], int64(len(d)))
	f.Add(d[:fixedHeader], int64(fixedHeader))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		for _, data := range [][]byte{head, sealed(head)} {
			h, err := ReadHeader(bytes.NewReader(data), size)
			if !expected(err) {
				t.Fatal(err)
			}
			if err != nil {
				continue
			}
			again, err := h.encode()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(data, again) {
				t.Fatal("the header changes when it is written again")
			}
		}
	})
}

// FuzzApply applies deltas whose checksums are right to a base with a stream in a stream: whatever they hold, the output is bounded,
// errors are known ones, and nothing is left behind.
func FuzzApply(f *testing.F) {
	plain := text(2, 3000)
	inner := deflated(f, usual, plain)
	middle := append(append([]byte("before"), inner...), "after"...)
	outer := deflated(f, usual, middle)
	base := append(append([]byte("head"), outer...), "tail"...)
	whole := int64(len(base))
	f.Add(varints(4, uint64(len(outer)), uint64(len(middle)), 1, 6, uint64(len(inner)), 3000), varints(0, 0x68, 1, 0, 0x68, 3000, 0),
		varints(3000<<2), signed(whole+6), []byte{}, []byte{}, int64(len(plain)+11), int64(3000))
	f.Add(varints(4, uint64(len(outer)), uint64(len(middle)), 0), varints(), varints(5<<2|opAdd, 60<<2|opDiff), signed(whole-5), []byte("hello"),
		make([]byte, 60), int64(len(middle)), int64(65))
	f.Add([]byte{}, []byte{}, varints(uint64(whole)<<2), signed(0), []byte{}, []byte{}, int64(0), whole)
	f.Fuzz(func(t *testing.T, old, layer, ops, places, literals, differences []byte, spool, expanded int64) {
		dir := t.TempDir()
		c := crafted{
			old: []Layer{layerOf(base)}, layer: layerOf(plain), spool: spool, expanded: expanded, features: knownFeatures, window: smallWindow,
			parts: [sectionCount][]byte{old, layer, ops, places, literals, differences},
		}
		d := c.encode(t)
		var out bytes.Buffer
		if err := Apply(context.Background(), c.old, bytes.NewReader(d), int64(len(d)), &out, dir, nil); !expected(err) {
			t.Fatal(err)
		}
		if out.Len() > len(plain) {
			t.Fatalf("%d bytes written", out.Len())
		}
		empty(t, dir)
	})
}

// FuzzCreate makes and applies deltas between any bytes, which the scanner for zips sees as well.
func FuzzCreate(f *testing.F) {
	f.Add([]byte(nil), []byte(nil), uint16(0))
	f.Add(text(1, 3000), text(1, 2500), uint16(100))
	f.Add(zipOf(f, usual, file{"a", text(1, 3000)}), zipOf(f, usual, file{"a", text(1, 2900)}), uint16(40))
	nested := func(seed uint64) []byte {
		return zipOf(f, usual, file{"x.jar", zipOf(f, usual, file{"a", text(seed, 2000)}, file{"b", text(2, 2000)})})
	}
	f.Add(nested(1), nested(3), uint16(7))
	f.Fuzz(func(t *testing.T, old, layer []byte, cut uint16) {
		at := min(int(cut), len(old))
		create(t, [][]byte{old[:at], old[at:]}, layer)
	})
}

// FuzzScan looks for zips in any bytes: what it finds lies inside, in order, and is as long as it says.
func FuzzScan(f *testing.F) {
	f.Add(zipOf(f, usual, file{"a", text(1, 3000)}, file{"b", noise(1, 300)}))
	f.Add(append([]byte("PK\x03\x04PK\x03\x04"), deflated(f, usual, text(1, 900))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		size := int64(len(data))
		found, err := newScanner(context.Background(), bytes.NewReader(data), size, func(int64) {}).scan(0, size)
		if err != nil {
			t.Fatal(err)
		}
		at, plain := int64(0), int64(0)
		for _, s := range found {
			if s.at < at || s.end() > size || s.stored < leastStream {
				t.Fatalf("%+v of %d bytes after %d", s, size, at)
			}
			at = s.end()
			plain += s.plain
			var inflate inflater
			out := inflate.open(io.NewSectionReader(bytes.NewReader(data), s.at, s.stored), s.stored, s.plain)
			if _, err := io.Copy(io.Discard, out); err != nil {
				t.Fatal(err)
			}
			if err := inflate.end(); err != nil {
				t.Fatal(err)
			}
		}
		if plain > expandLimit(size)/2 {
			t.Fatalf("%d bytes in %d", plain, size)
		}
	})
}
