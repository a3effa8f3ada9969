package bundle

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReadAhead(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef!"), 100_000)
	broken := errors.New("broken")
	for _, n := range []int{0, 1, aheadPiece - 1, aheadPiece, aheadPiece + 1, len(data)} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "half": iotest.HalfReader, "data with its error": iotest.DataErrReader,
		} {
			a := readAhead(wrap(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))))
			got, err := io.ReadAll(iotest.HalfReader(a))
			if !bytes.Equal(got, data[:n]) || err != broken {
				t.Errorf("%d bytes, %s: got %d and error %v", n, name, len(got), err)
			}
			if _, err := a.Read(make([]byte, 1)); err != broken {
				t.Errorf("%d bytes, %s: error %v the second time", n, name, err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A reader that is closed early leaves the other one alone from then on.
func TestReadAheadClosedEarly(t *testing.T) {
	for _, read := range []int{0, 10, 3 * aheadPiece} {
		in := &endless{}
		a := readAhead(in)
		if _, err := io.CopyN(io.Discard, a, int64(read)); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if in.n > int64(read)+(aheadPieces+1)*aheadPiece { // the race detector sees a use that goes on
			t.Errorf("%d bytes were read for %d", in.n, read)
		}
	}
}

type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n += int64(len(p))
	return len(p), nil
}
