package delta

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"dhow/bundle"
	"dhow/bundle/delta/deflate"

	"github.com/klauspost/compress/flate"
)

// stream is a deflate stream in a zip.
type stream struct {
	at     int64 // where its first byte stands: in a side's layers, or in what the stream around it holds
	stored int64 // its length
	plain  int64 // length of what it holds
	sum    [16]byte
	params deflate.Params // what makes it; only for streams of the new side
	spool  int64          // where what it holds begins in a file of the creator's
	opened int64          // length of what it holds with the streams inside opened
	inside []stream
}

func (s stream) end() int64 { return s.at + s.stored }

// zipHeader is the length of the fixed part of the header that stands before each member of a zip.
const zipHeader = 30

var zipMagic = []byte("PK\x03\x04")

// scanner finds the deflate streams of zips. It looks for the headers of members, wherever they stand, and needs no table of contents:
// zips that are stored in a zip, that follow something else, and that are written with data descriptors are all found the same way.
type scanner struct {
	ctx   context.Context
	r     io.ReaderAt
	in    *bufio.Reader
	plain int64 // what all streams together may still hold
	tries int64 // how many bytes may still be inflated in vain
	step  func(int64)
}

// newScanner returns a scanner of r that inflates at most what half of a side of size bytes may expand to.
func newScanner(ctx context.Context, r io.ReaderAt, size int64, step func(int64)) *scanner {
	s := &scanner{ctx: ctx, r: r, plain: (maxExpansion/2-1)*size + spareExpand/2, tries: 4*size + spareExpand, step: step}
	s.in = bufio.NewReaderSize(eof{}, 64<<10)
	return s
}

// scan returns the streams from address from to address to, in their order.
func (s *scanner) scan(from, to int64) ([]stream, error) {
	var found []stream
	buffer := make([]byte, 256<<10)
	for at := from; at < to; {
		if err := context.Cause(s.ctx); err != nil {
			return nil, err
		}
		part := buffer[:min(int64(len(buffer)), to-at)]
		if err := readFull(s.r, part, at); err != nil {
			return nil, err
		}
		i := bytes.Index(part, zipMagic)
		if i < 0 {
			// The last bytes may be the beginning of a header.
			next := at + max(int64(len(part)-len(zipMagic)+1), 1)
			s.step(next - at)
			at = next
			continue
		}
		next := at + int64(i) + int64(len(zipMagic))
		one, ok, err := s.member(at+int64(i), to)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, one)
			next = one.end()
		}
		s.step(next - at)
		at = next
	}
	return found, nil
}

// member looks at the header at address at.
func (s *scanner) member(at, to int64) (stream, bool, error) {
	var head [zipHeader]byte
	if at+zipHeader > to {
		return stream{}, false, nil
	}
	if err := readFull(s.r, head[:], at); err != nil {
		return stream{}, false, err
	}
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint16(head[at:])) }
	const encrypted, deflated = 1, 8
	begin := at + zipHeader + number(26) + number(28)
	if number(6)&encrypted != 0 || number(8) != deflated || begin+leastStream > to || s.tries <= 0 {
		return stream{}, false, nil
	}
	one := stream{at: begin}
	var err error
	if one.stored, one.plain, err = s.inflate(begin, to); err != nil || one.stored < leastStream {
		return stream{}, false, err
	}
	s.plain -= one.plain
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(s.r, begin, one.stored)); err != nil {
		return stream{}, false, err
	}
	copy(one.sum[:], hash.Sum(nil))
	return one, true, nil
}

// inflate returns both lengths of the stream at address at, or 0 if there is none.
func (s *scanner) inflate(at, to int64) (stored, plain int64, err error) {
	in := &io.LimitedReader{R: bundle.WithContext(s.ctx, io.NewSectionReader(s.r, at, to-at)), N: to - at}
	s.in.Reset(in)
	plain, err = io.Copy(io.Discard, io.LimitReader(newInflater(s.in), s.plain+1))
	stored = to - at - in.N - int64(s.in.Buffered())
	if err == nil && plain <= s.plain {
		return stored, plain, nil
	}
	s.tries -= plain + stored
	if err != nil && !notDeflate(err) {
		return 0, 0, err
	}
	return 0, 0, nil
}

// newInflater returns a decoder that has read nothing before. One that is reset keeps tables of the stream before it, and lets bytes pass
// that refer to a table which their stream does not have: what they hold would depend on what was read before.
func newInflater(r *bufio.Reader) io.Reader { return flate.NewReader(r) }

// notDeflate reports whether an error of a decoder says that the bytes are no deflate stream.
func notDeflate(err error) bool {
	_, corrupt := err.(flate.CorruptInputError)
	_, internal := err.(flate.InternalError) // as the decoder calls a few kinds of corruption
	return corrupt || internal || err == io.ErrUnexpectedEOF
}

// readFull fills p from address at.
func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
