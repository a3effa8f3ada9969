package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// FuzzRoundTrip asserts that another decoder gets back what was written, whatever the pieces and parameters, and that a Writer that
// was used before writes the same as a fresh one.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(nil), byte(6), byte(8), uint16(0))
	f.Add([]byte("a"), byte(1), byte(1), uint16(1))
	for n := range uint64(20) {
		r := rand.New(rand.NewPCG(n, 1))
		f.Add(material(r, r.IntN(90000)), byte(n), byte(r.Uint32()), uint16(r.Uint32()))
	}
	used, err := NewWriter(io.Discard, Params{9, 9})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, level, mem byte, piece uint16) {
		p := Params{1 + int(level)%9, 1 + int(mem)%9}
		var pieces, whole bytes.Buffer
		if err := used.Reset(&pieces, p); err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+int(piece))
			if _, err := used.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := used.Close(); err != nil {
			t.Fatal(err)
		}
		fresh, err := NewWriter(&whole, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := fresh.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pieces.Bytes(), whole.Bytes()) {
			t.Fatal("the pieces change the stream")
		}
		got, err := io.ReadAll(flate.NewReader(&whole))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Fatal("another content comes back")
		}
	})
}

func TestUnknownParams(t *testing.T) {
	for _, p := range []Params{{}, {0, 8}, {10, 8}, {6, 0}, {6, 10}, {-1, 8}} {
		if _, err := NewWriter(io.Discard, p); err == nil {
			t.Errorf("%+v: no error", p)
		}
	}
}

type brokenWriter struct{ after int }

var errBroken = errors.New("no space left")

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.after -= len(p); b.after < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestErrorsOfTheOtherSideAreReturned(t *testing.T) {
	data := material(rand.New(rand.NewPCG(1, 2)), 1<<20)
	for _, after := range []int{0, 100000} {
		d, err := NewWriter(&brokenWriter{after}, Params{6, 8})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Write(data)
		if !errors.Is(err, errBroken) {
			t.Errorf("after %d: Write: %v", after, err)
		}
		if err := d.Close(); !errors.Is(err, errBroken) {
			t.Errorf("after %d: Close: %v", after, err)
		}
		if _, err := d.Write(data); err == nil {
			t.Error("Write after Close: no error")
		}
	}
}
