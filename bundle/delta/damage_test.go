package delta

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/delta/deflate"
)

// crafted is a delta whose checksums are right, whatever it holds.
type crafted struct {
	old      []Layer
	layer    Layer
	spool    int64
	expanded int64
	features uint32
	window   int64
	parts    [sectionCount][]byte
	edit     func(h *Header)
}

func (c crafted) encode(t testing.TB) []byte {
	t.Helper()
	h := Header{New: c.layer.Identity, Spool: c.spool, Expanded: c.expanded, Window: c.window, Features: c.features}
	for _, l := range c.old {
		h.Old = append(h.Old, l.Identity)
	}
	var body bytes.Buffer
	s, err := newSectionWriter(smallWindow)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range c.parts {
		var frame bytes.Buffer
		s.begin(&frame)
		if _, err := s.Write(part); err != nil {
			t.Fatal(err)
		}
		if h.sections[i], err = s.end(); err != nil {
			t.Fatal(err)
		}
		body.Write(frame.Bytes()[:h.sections[i].stored])
	}
	if c.edit != nil {
		c.edit(&h)
	}
	head, err := h.encode()
	if err != nil {
		t.Fatal(err)
	}
	return append(head, body.Bytes()...)
}

// varints are unsigned ones.
func varints(n ...uint64) []byte {
	var b []byte
	for _, v := range n {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func signed(n ...int64) []byte {
	var b []byte
	for _, v := range n {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func deflated(t testing.TB, p deflate.Params, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	d, err := deflate.NewWriter(&b, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadDeltas(t *testing.T) {
	base := text(1, 5000)
	plain := text(2, 4000)
	packed := deflated(t, usual, plain)
	bomb := deflated(t, usual, deflated(t, usual, make([]byte, 8<<20)))
	copied := crafted{ // COPY 5000 gives the base again
		old: []Layer{layerOf(base)}, layer: layerOf(base), expanded: 5000, window: smallWindow,
		parts: [sectionCount][]byte{sectionOps: varints(5000 << 2), sectionPlaces: signed(0)},
	}
	opened := crafted{ // the base is a stream; its content is the layer
		old: []Layer{layerOf(packed)}, layer: layerOf(plain), spool: 4000, expanded: 4000, window: smallWindow, features: knownFeatures,
		parts: [sectionCount][]byte{
			sectionOld: varints(0, uint64(len(packed)), 4000, 0),
			sectionOps: varints(4000 << 2), sectionPlaces: signed(int64(len(packed))),
		},
	}
	closed := crafted{ // the layer is a stream; its content is the base
		old: []Layer{layerOf(plain)}, layer: layerOf(packed), expanded: 4000, window: smallWindow, features: knownFeatures,
		parts: [sectionCount][]byte{
			sectionNew: varints(0, uint64(packParams(usual)), 0, 4000),
			sectionOps: varints(4000 << 2), sectionPlaces: signed(0),
		},
	}
	blown := crafted{ // two streams, one in the other, that hold 8 MB
		old: []Layer{layerOf(append(bytes.Clone(bomb), make([]byte, 1000)...))}, layer: layerOf(plain), spool: 100, expanded: 100,
		window: smallWindow, features: knownFeatures,
		parts: [sectionCount][]byte{sectionOps: varints(100 << 2), sectionPlaces: signed(0)},
	}
	inner := deflated(t, usual, make([]byte, 8<<20))
	for _, test := range []struct {
		name string
		from crafted
		edit func(c *crafted)
		is   error
		want string
	}{
		{name: "good: copied", from: copied},
		{name: "good: opened", from: opened},
		{name: "good: closed", from: closed},
		{
			"another base", copied, func(c *crafted) { c.edit = func(h *Header) { h.Old = []Identity{layerOf(plain).Identity} } }, ErrWrongBase,
			"cannot apply delta: made for another base: layer 1 of that is ",
		},
		{
			"another base of more layers", copied, func(c *crafted) { c.edit = func(h *Header) { h.Old = append(h.Old, h.Old[0]) } }, ErrWrongBase,
			"cannot apply delta: made for another base: that has 2 layers, and this one has 1",
		},
		{
			"a base that is not what it is said to be", copied,
			func(c *crafted) { c.old[0].Tar = bytes.NewReader(text(3, 5000)) }, ErrWrongBase,
			"cannot apply delta: layer 1 of the base: made for another base: its diff ID is ",
		},
		{
			"a base of streams that is not what it is said to be", opened,
			func(c *crafted) { c.old[0].Tar = bytes.NewReader(noise(3, len(packed))) }, ErrWrongBase,
			"cannot apply delta: layer 1 of the base: made for another base: its diff ID is ",
		},
		{
			"a base that is shorter", copied, func(c *crafted) { c.old[0].Tar = bytes.NewReader(base[:4999]) }, ErrWrongBase,
			"cannot apply delta: layer 1 of the base: made for another base: it ends 1 bytes too early",
		},
		{
			"another layer", copied, func(c *crafted) { c.layer = layerOf(text(4, 5000)) }, ErrMismatch,
			"cannot apply delta: it does not give the layer that it is for: the diff ID is ",
		},
		{
			"a shorter layer", copied, func(c *crafted) { c.layer = layerOf(base[:4990]) }, ErrMismatch,
			"cannot apply delta: it does not give the layer that it is for: it becomes larger than the header says",
		},
		{
			"a longer layer", copied, func(c *crafted) { c.layer = layerOf(append(bytes.Clone(base), 1)) }, ErrMismatch,
			"cannot apply delta: it does not give the layer that it is for: 1 bytes are missing",
		},
		{
			"an unknown feature", copied, func(c *crafted) { c.features = 1 << 9 }, ErrUnknownFeature,
			"cannot apply delta: it uses features that this program does not know (0x200): it needs a newer dhow",
		},
		{
			"a size that overflows", copied, func(c *crafted) { c.edit = func(h *Header) { h.New.Size = -1 } }, bundle.ErrTooLarge,
			"cannot apply delta: a layer is larger than allowed: -1 bytes, at most 1099511627776",
		},
		{
			"a base that overflows", copied, func(c *crafted) {
				c.edit = func(h *Header) { h.Old = slices.Repeat([]Identity{{h.Old[0].DiffID, maxSize}}, 200) }
			}, bundle.ErrTooLarge, "cannot apply delta: its base is larger than allowed: 219902325555200 bytes, at most 1099511627776",
		},
		{
			"too many layers", copied, func(c *crafted) { c.edit = func(h *Header) { h.Old = slices.Repeat(h.Old, 257) } }, bundle.ErrTooLarge,
			"cannot apply delta: its base is larger than allowed: 257 layers, at most 256",
		},
		{
			"a spool that is a bomb", opened, func(c *crafted) { c.spool = 1 << 30 }, bundle.ErrTooLarge,
			"cannot apply delta: its spool is larger than allowed: 1073741824 bytes, at most ",
		},
		{
			"an opened layer that is a bomb", copied, func(c *crafted) { c.expanded = 1 << 40 }, bundle.ErrTooLarge,
			"cannot apply delta: its opened layer is larger than allowed: 1099511627776 bytes, at most 1128576",
		},
		{
			"a window that is a bomb", copied, func(c *crafted) { c.window = 128 << 20 }, bundle.ErrTooLarge,
			"cannot apply delta: its window is larger than allowed: 134217728 bytes, at most 8388608",
		},
		{
			"a section that overflows", copied, func(c *crafted) {
				c.edit = func(h *Header) { h.sections[sectionLiterals].stored = 1<<63 - 1 }
			}, bundle.ErrTooLarge, "cannot apply delta: its section of literals is larger than allowed: 9223372036854775807 bytes, at most 1099511627776",
		},
		{
			"a section that is not there", copied, func(c *crafted) { c.edit = func(h *Header) { h.sections[sectionLiterals].plain = 7 } },
			bundle.ErrDamaged, "cannot apply delta: its section of literals is damaged: it is empty and should hold 7 bytes",
		},
		{
			"a section that is longer than declared", copied, func(c *crafted) { c.edit = func(h *Header) { h.sections[sectionOps].plain = 2 } },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it has another length than the header says",
		},
		{
			"a zip bomb two levels deep", blown,
			func(c *crafted) {
				c.parts[sectionOld] = varints(0, uint64(len(bomb)), uint64(len(inner)), 1, 0, uint64(len(inner)), 8<<20)
			},
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: its spool is damaged: the header declares less than its streams hold",
		},
		{
			"a zip bomb two levels deep that lies about its size", blown,
			func(c *crafted) {
				c.parts[sectionOld] = varints(0, uint64(len(bomb)), uint64(len(inner)), 1, 0, uint64(len(inner)), 100)
			},
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: a stream of the base is damaged: it holds more than the delta says",
		},
		{
			"a stream that holds less", opened, func(c *crafted) { c.parts[sectionOld] = varints(0, uint64(len(packed)), 4001, 0); c.spool++ },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: a stream of the base is damaged: it holds less than the delta says",
		},
		{
			"a stream that is shorter", opened, func(c *crafted) {
				c.old = []Layer{layerOf(append(bytes.Clone(packed), 0))}
				c.parts[sectionOld] = varints(0, uint64(len(packed)+1), 4000, 0)
			},
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: a stream of the base is damaged: it is shorter than the delta says",
		},
		{
			"a stream that is longer", opened, func(c *crafted) { c.parts[sectionOld] = varints(0, uint64(len(packed)-1), 4000, 0) },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: a stream of the base is damaged: unexpected EOF",
		},
		{
			"a stream that is none", opened, func(c *crafted) { c.old = []Layer{layerOf(noise(7, len(packed)))} },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: a stream of the base is damaged: flate: corrupt input before offset ",
		},
		{
			"a stream over the end of the base", opened, func(c *crafted) { c.parts[sectionOld] = varints(1, uint64(len(packed)), 4000, 0) },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: its section of streams of the base is damaged: it holds the number ",
		},
		{
			"a stream after the base", opened, func(c *crafted) { c.parts[sectionOld] = varints(1e6, uint64(len(packed)), 4000, 0) },
			bundle.ErrDamaged, "cannot apply delta: its section of streams of the base is damaged: it names a stream after the end of the base",
		},
		{
			"a count that overflows", opened, func(c *crafted) { c.parts[sectionOld] = varints(0, uint64(len(packed)), 4000, 1<<63) },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: its section of streams of the base is damaged: " +
				"it holds the number 9223372036854775808 where at most 1048576 is possible",
		},
		{
			"a list of streams that ends too early", opened, func(c *crafted) { c.parts[sectionOld] = varints(0, uint64(len(packed))) },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: its section of streams of the base is damaged: it ends too early",
		},
		{
			"a spool that is declared too long", opened, func(c *crafted) { c.spool++ },
			bundle.ErrDamaged, "cannot apply delta: its spool is damaged: the header says 1 bytes more",
		},
		{
			"a level that is unknown", closed, func(c *crafted) { c.parts[sectionNew] = varints(0, 0xa8, 0, 4000) },
			bundle.ErrDamaged, "cannot apply delta: its section of streams of the layer is damaged: it asks for the deflate parameters 0xa8",
		},
		{
			"another level", closed, func(c *crafted) { c.parts[sectionNew] = varints(0, 0x18, 0, 4000) }, ErrMismatch,
			"cannot apply delta: it does not give the layer that it is for: it becomes larger than the header says",
		},
		{
			"a stream that holds more than the layer", closed, func(c *crafted) { c.parts[sectionNew] = varints(0, 0x68, 0, 4001) },
			bundle.ErrDamaged, "cannot apply delta: its section of streams of the layer is damaged: it holds the number 4001 where at most 4000 is possible",
		},
		{
			"a count of the layer that overflows", closed, func(c *crafted) { c.parts[sectionNew] = varints(0, 0x68, 1<<63, 4000) },
			bundle.ErrDamaged, "cannot apply delta: its section of streams of the layer is damaged: " +
				"it holds the number 9223372036854775808 where at most 1048576 is possible",
		},
		{
			"a stream after the layer", closed, func(c *crafted) { c.parts[sectionNew] = varints(4001, 0x68, 0, 4000) },
			bundle.ErrDamaged, "cannot apply delta: its section of streams of the layer is damaged: it holds the number 4001 where at most 4000 is possible",
		},
		{
			"a stream inside that stands after the one around it", opened,
			func(c *crafted) { c.parts[sectionOld] = varints(0, uint64(len(packed)), 4000, 1, 4001, 10, 10) },
			bundle.ErrDamaged, "cannot apply delta: layer 1 of the base: its section of streams of the base is damaged: " +
				"it holds the number 4001 where at most 4000 is possible",
		},
		{
			"a place before the base", copied, func(c *crafted) { c.parts[sectionPlaces] = signed(-1) },
			bundle.ErrDamaged, "cannot apply delta: its section of places is damaged: it leads outside of the base",
		},
		{
			"a place after the base", copied, func(c *crafted) { c.parts[sectionPlaces] = signed(1) },
			bundle.ErrDamaged, "cannot apply delta: its section of places is damaged: it leads outside of the base",
		},
		{
			"a place that overflows", copied, func(c *crafted) { c.parts[sectionPlaces] = signed(1<<63 - 1) },
			bundle.ErrDamaged, "cannot apply delta: its section of places is damaged: it leads outside of the base",
		},
		{
			"an operation that is too long", copied, func(c *crafted) { c.parts[sectionOps] = varints(5001 << 2) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it holds an operation of 5001 bytes where 1 to 5000 are possible",
		},
		{
			"an operation of nothing", copied, func(c *crafted) { c.parts[sectionOps] = varints(0) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it holds an operation of 0 bytes where 1 to 5000 are possible",
		},
		{
			"an operation that overflows", copied, func(c *crafted) { c.parts[sectionOps] = varints(1<<64 - 4) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it holds the number 18446744073709551612 where at most 4611686018427387903 is possible",
		},
		{
			"an unknown operation", copied, func(c *crafted) { c.parts[sectionOps] = varints(5000<<2 | 3) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it holds an unknown operation",
		},
		{
			"a difference without its feature", copied, func(c *crafted) { c.parts[sectionOps] = varints(5000<<2 | opDiff) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it holds an unknown operation",
		},
		{
			"too few operations", copied, func(c *crafted) { c.parts[sectionOps] = varints(4000 << 2) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it ends too early",
		},
		{
			"too many operations", copied, func(c *crafted) { c.parts[sectionOps] = varints(5000<<2, 5<<2) },
			bundle.ErrDamaged, "cannot apply delta: its section of operations is damaged: it has another length than the header says",
		},
		{
			"too few literals", copied, func(c *crafted) { c.parts[sectionOps] = varints(5000<<2 | opAdd); c.parts[sectionPlaces] = nil },
			bundle.ErrDamaged, "cannot apply delta: its section of literals is damaged: it ends too early",
		},
		{
			"too many literals", copied, func(c *crafted) { c.parts[sectionLiterals] = []byte("x") },
			bundle.ErrDamaged, "cannot apply delta: its section of literals is damaged: it has another length than the header says",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.from
			c.old = slices.Clone(c.old)
			if test.edit != nil {
				test.edit(&c)
			}
			d := c.encode(t)
			dir := t.TempDir()
			var out bytes.Buffer
			err := Apply(context.Background(), c.old, bytes.NewReader(d), int64(len(d)), &out, dir, nil)
			empty(t, dir)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !errors.Is(err, test.is) || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("%v\nwant %s", err, test.want)
			}
			if int64(out.Len()) > c.layer.Size {
				t.Errorf("%d bytes written, and the header allows %d", out.Len(), c.layer.Size)
			}
		})
	}
}

// Every byte of a delta is covered by a checksum, and no part may be missing.
func TestCutAndChangedDeltas(t *testing.T) {
	old, layer := text(1, 20000), append(text(1, 9000), text(2, 9000)...)
	d, _ := create(t, [][]byte{old}, layer)
	dir := t.TempDir()
	apply := func(d []byte) error {
		return Apply(context.Background(), []Layer{layerOf(old)}, bytes.NewReader(d), int64(len(d)), io.Discard, dir, nil)
	}
	for n := 0; n < len(d); n += 17 {
		if err := apply(d[:n]); !errors.Is(err, bundle.ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	if err := apply(append(bytes.Clone(d), 0)); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
	known := []error{bundle.ErrDamaged, bundle.ErrTooLarge, ErrUnknownFeature}
	for n := 0; n < len(d); n += 7 {
		bad := bytes.Clone(d)
		bad[n] ^= 0x10
		err := apply(bad)
		if !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
	newer := bytes.Clone(d)
	newer[len(magic)+3] = Format + 1
	_, err := ReadHeader(bytes.NewReader(newer), int64(len(newer)))
	if want := "cannot read delta: it has format 2 and this program reads up to 1: it needs a newer dhow"; err == nil || err.Error() != want ||
		!errors.Is(err, ErrUnknownFeature) {
		t.Errorf("%v, not %s", err, want)
	}
	empty(t, dir)
}

// What an inflater reads must end exactly with the stream, as others follow it.
func TestInflaterReadsNoFurtherThanTheStream(t *testing.T) {
	var f inflater
	for n := range 50 {
		plain := text(uint64(n), 100+n*397)
		packed := deflated(t, deflate.Params{Level: 1 + n%9, MemLevel: 8}, plain)
		r := bytes.NewReader(append(bytes.Clone(packed), "what follows"...))
		got, err := io.ReadAll(f.open(bufio.NewReaderSize(r, 16), int64(len(packed)), int64(len(plain))))
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d: %v", n, err)
		}
		if err := f.end(); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
}

// sealed adds the checksum of a header.
func sealed(head []byte) []byte {
	sum := sha256.Sum256(head)
	return append(bytes.Clone(head), sum[:]...)
}
