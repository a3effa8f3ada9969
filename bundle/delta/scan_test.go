package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
)

// bitWriter puts numbers into bytes as deflate does.
type bitWriter struct {
	data []byte
	n    int
}

func (b *bitWriter) put(value, width int) {
	for i := range width {
		if b.n%8 == 0 {
			b.data = append(b.data, 0)
		}
		b.data[b.n/8] |= byte(value>>i&1) << (b.n % 8)
		b.n++
	}
}

// emptyTable is a deflate stream with a reference whose distance stands in a table that has no entries, followed by what the last byte says.
func emptyTable(last int) []byte {
	var b bitWriter
	b.put(1, 1)  // the last block
	b.put(2, 2)  // with tables of its own
	b.put(1, 5)  // of 258 literals and lengths
	b.put(0, 5)  // and one distance
	b.put(14, 4) // lengths of the codes of lengths, in their own order: 2 for 0, 1, 2 and 18
	for _, n := range []int{0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2} {
		b.put(n, 3)
	}
	zeros := func(n int) { b.put(3, 2); b.put(n-11, 7) }
	zeros(97)
	b.put(2, 2) // 1 bit for "a"
	zeros(138)
	zeros(20)
	b.put(1, 2) // 2 bits for the end
	b.put(1, 2) // and for a reference of 3 bytes
	b.put(0, 2) // the distance has no code
	for range 4000 {
		b.put(0, 8) // "a", enough of them for any distance
	}
	b.put(3, 2)
	b.put(last, 8)
	return b.data
}

// A decoder that is used again must not take the tables of the stream before it for those of a stream that has none: what a stream holds would
// depend on what was read before, and that is not the same at the centre and at a site.
func TestTablesOfAnotherStream(t *testing.T) {
	member := func(data []byte) []byte {
		head := make([]byte, zipHeader)
		copy(head, zipMagic)
		binary.LittleEndian.PutUint16(head[8:], 8)
		return append(head, data...)
	}
	first := member(deflated(t, usual, text(1, 5000)))
	for last := range 256 {
		data := append(append(bytes.Clone(first), member(emptyTable(last))...), bytes.Repeat([]byte{0x55}, 100)...) // 1, 0: the end
		size := int64(len(data))
		found, err := newScanner(context.Background(), bytes.NewReader(data), size, func(int64) {}).scan(0, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].end() != int64(len(first)) {
			t.Fatalf("byte %d: %d streams", last, len(found))
		}
	}
}
