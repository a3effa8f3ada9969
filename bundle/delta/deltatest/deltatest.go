// Package deltatest makes deltas for tests: good ones, and poisoned ones whose checksums are right.
package deltatest

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"dhow/bundle/delta"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// Layer is a layer's tar as package delta takes it.
func Layer(tar []byte) delta.Layer {
	return delta.Layer{Identity: delta.Identity{DiffID: digest.FromBytes(tar), Size: int64(len(tar))}, Tar: bytes.NewReader(tar)}
}

// Make returns the delta from the layers of a base to another layer, and the bytes of disk that applying it takes.
func Make(t testing.TB, base [][]byte, layer []byte) (data []byte, spool int64) {
	t.Helper()
	var old []delta.Layer
	for _, b := range base {
		old = append(old, Layer(b))
	}
	var out bytes.Buffer
	stats, err := delta.Create(context.Background(), old, Layer(layer), &out, delta.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), stats.Spool
}

// Crafted is a delta that says what a test wants it to say, in the format of package delta.
type Crafted struct {
	Old      []delta.Identity
	New      delta.Identity
	Features uint32
	Spool    int64
	Expanded int64
	Sections [6][]byte // plain
}

// Encode returns its bytes.
func (c Crafted) Encode(t testing.TB) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	head := []byte("\x89dhow-\xce\x94\n")
	for _, n := range []uint32{delta.Format, c.Features, uint32(len(c.Old))} {
		head = binary.BigEndian.AppendUint32(head, n)
	}
	number := func(n int64) { head = binary.BigEndian.AppendUint64(head, uint64(n)) }
	for _, l := range append(slices.Clone(c.Old), c.New) {
		sum, err := hex.DecodeString(l.DiffID.Encoded())
		if err != nil {
			t.Fatal(err)
		}
		head = append(head, sum...)
		number(l.Size)
	}
	number(c.Spool)
	number(c.Expanded)
	number(1 << 20)
	var body []byte
	for _, s := range c.Sections {
		var frame []byte
		if len(s) > 0 {
			frame = z.EncodeAll(s, nil)
		}
		sum := sha256.Sum256(frame)
		number(int64(len(frame)))
		number(int64(len(s)))
		head = append(head, sum[:]...)
		body = append(body, frame...)
	}
	sum := sha256.Sum256(head)
	return append(append(head, sum[:]...), body...)
}

// Bomb is deflated twice: 8 MB of zeros in a stream in a stream. A base has to hold it for Poisons.
func Bomb(t testing.TB) []byte {
	t.Helper()
	return deflated(t, deflated(t, make([]byte, bombed)))
}

const bombed = 8 << 20

func deflated(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Poison is a delta that must be refused, and words of the error that says why.
type Poison struct {
	Name, Says string
	Data       []byte
}

// Kinds is how many poisons there are.
const Kinds = 7

// PoisonOf makes the poison of a kind, from 0 on, out of what would be a good delta. The layers of the base hold Bomb somewhere.
func PoisonOf(t testing.TB, kind int, base [][]byte, layer []byte) Poison {
	t.Helper()
	c := Crafted{New: Layer(layer).Identity, Expanded: int64(len(layer)), Features: 3, Spool: 100}
	for _, b := range base {
		c.Old = append(c.Old, Layer(b).Identity)
	}
	bomb := Bomb(t)
	at := bytes.Index(bytes.Join(base, nil), bomb)
	if at < 0 {
		t.Fatal("the base does not hold the bomb")
	}
	inner := uint64(len(deflated(t, make([]byte, bombed))))
	c.Sections[2] = varints(uint64(len(layer)) << 2)
	c.Sections[3] = varints(0)
	switch kind {
	case 0:
		c.Old[0].DiffID = digest.FromString("another base")
		return Poison{"wrong base", "made for another base: layer 1 of that is", c.Encode(t)}
	case 1:
		c.New.Size++
		return Poison{"lying sizes", "does not give the layer that it is for: it leads to", c.Encode(t)}
	case 2:
		c.Sections[0] = varints(uint64(at), uint64(len(bomb)), inner, 1, 0, inner, bombed)
		return Poison{"bomb two levels deep", "its spool is damaged: the header declares less than its streams hold", c.Encode(t)}
	case 3:
		c.Sections[0] = varints(uint64(at), uint64(len(bomb)), inner, 1<<63)
		return Poison{"count that overflows", "where at most 1048576 is possible", c.Encode(t)}
	case 4:
		c.Features = 1 << 9
		return Poison{"unknown feature", "uses features that this program does not know (0x200)", c.Encode(t)}
	}
	good, _ := Make(t, base, layer)
	if kind == 5 {
		return Poison{"cut", "the file is damaged: it has", good[:len(good)-1]}
	}
	good[len(good)-1] ^= 1
	return Poison{"changed byte", "is damaged", good}
}

// varints are unsigned ones.
func varints(n ...uint64) (b []byte) {
	for _, v := range n {
		b = binary.AppendUvarint(b, v)
	}
	return b
}
