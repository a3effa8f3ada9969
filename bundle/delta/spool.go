package delta

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"dhow/bundle"
	"dhow/bundle/durable"

	"github.com/opencontainers/go-digest"
)

const (
	// maxInner bounds the streams that are opened inside of one.
	maxInner = 1 << 20
	// leastStream is the length from which a compressed stream is worth to be opened, and leastPlain is less than what one holds that
	// zlib wrote.
	leastStream = 64
	leastPlain  = 32
)

// spooler reads the layers of the base from front to back: it hashes them, and writes what the opened streams hold to the spool.
type spooler struct {
	ctx     context.Context
	streams *sectionReader
	out     *bufio.Writer
	left    int64 // what may still be written
	plain   int64 // what streams of the base may still hold, those inside not counted
	at      int64 // address in the base
	next    int64 // address of the stream that is opened next
	done    bool  // there is none
	outer   inflater
	inner   inflater
	step    func(int64)
}

// spoolFile makes the file that the spool is written to. remove closes and removes it.
func spoolFile(dir string) (f *os.File, remove func(), err error) {
	f, err = os.CreateTemp(dir, durable.TempPrefix+"delta-*")
	if err != nil {
		return nil, nil, err
	}
	return f, func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}, nil
}

// spool fills f. It fails with ErrWrongBase when the base is not the one that the delta was made for.
func (h *Header) spool(ctx context.Context, d io.ReaderAt, old []Layer, f io.Writer, step func(int64)) error {
	streams, err := h.open(sectionOld, d)
	if err != nil {
		return err
	}
	defer streams.close()
	s := &spooler{ctx: ctx, streams: streams, out: bufio.NewWriterSize(f, 256<<10), left: h.Spool, plain: expandLimit(h.base()), step: step}
	if err := s.advance(); err != nil {
		return err
	}
	for i, l := range old {
		if err := s.layer(l); err != nil {
			return fmt.Errorf("layer %d of the base: %w", i+1, err)
		}
	}
	if !s.done {
		return streams.damaged("it names a stream after the end of the base")
	}
	if s.left != 0 {
		return fmt.Errorf("its spool is %w: the header says %d bytes more", bundle.ErrDamaged, s.left)
	}
	if err := streams.end(); err != nil {
		return err
	}
	return s.out.Flush()
}

// advance reads where the next stream begins.
func (s *spooler) advance() error {
	more, err := s.streams.more()
	if err != nil || !more {
		s.done = true
		return err
	}
	gap, err := s.streams.number(maxSize)
	s.next = s.at + gap
	return err
}

// layer passes one layer. Its digest is checked before anything that was found in it is used.
func (s *spooler) layer(l Layer) error {
	hash := sha256.New()
	section := io.NewSectionReader(l.Tar, 0, l.Size)
	r := bufio.NewReaderSize(io.TeeReader(bundle.WithContext(s.ctx, section), hash), 256<<10)
	end := s.at + l.Size
	for !s.done && s.next < end {
		if err := s.pass(r, s.next-s.at); err != nil {
			return err
		}
		if err := s.stream(r, end-s.at); err != nil {
			// What it holds can't be inflated as told: first of all that may be because it is another layer.
			if wrong := s.digest(l, r, hash.Sum); wrong != nil {
				return wrong
			}
			return err
		}
		if err := s.advance(); err != nil {
			return err
		}
	}
	if err := s.pass(r, end-s.at); err != nil {
		return err
	}
	return s.digest(l, r, hash.Sum)
}

func (s *spooler) digest(l Layer, rest io.Reader, sum func([]byte) []byte) error {
	if _, err := io.Copy(io.Discard, rest); err != nil {
		return err
	}
	if got := digest.NewDigestFromBytes(digest.SHA256, sum(nil)); got != l.DiffID {
		return fmt.Errorf("%w: its diff ID is %s and should be %s", ErrWrongBase, got, l.DiffID)
	}
	return nil
}

// pass skips n bytes of the base.
func (s *spooler) pass(r io.Reader, n int64) error {
	got, err := io.CopyN(io.Discard, r, n)
	s.at += got
	s.step(got)
	if err == io.EOF {
		return fmt.Errorf("%w: it ends %d bytes too early", ErrWrongBase, n-got)
	}
	return err
}

// stream opens a stream of the base, which may have streams inside.
func (s *spooler) stream(r *bufio.Reader, most int64) error {
	stored, err := s.stored(most)
	if err != nil {
		return err
	}
	plain, err := s.streams.number(s.plain)
	if err != nil {
		return err
	}
	s.plain -= plain
	count, err := s.streams.number(maxInner)
	if err != nil {
		return err
	}
	outer := s.outer.open(r, stored, plain)
	for range count {
		gap, err := s.streams.number(plain)
		if err != nil {
			return err
		}
		if err := s.copy(outer, gap); err != nil {
			return err
		}
		innerStored, err := s.stored(plain)
		if err != nil {
			return err
		}
		innerPlain, err := s.streams.number(maxSize * maxExpansion)
		if err != nil {
			return err
		}
		if err := s.copy(s.inner.open(outer, innerStored, innerPlain), innerPlain); err != nil {
			return err
		}
		if err := s.inner.end(); err != nil {
			return err
		}
	}
	if err := s.copy(outer, s.outer.rest()); err != nil {
		return err
	}
	if err := s.outer.end(); err != nil {
		return err
	}
	s.at += stored
	s.step(stored)
	return nil
}

// stored reads the compressed length of a stream. As none is shorter than those that are worth to be opened, the length of what they stand
// in bounds how many there can be.
func (s *spooler) stored(most int64) (int64, error) {
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	n, err := s.streams.number(most)
	if err == nil && n < leastStream {
		err = s.streams.damaged(fmt.Sprintf("it holds a stream of %d bytes, at least %d are possible", n, leastStream))
	}
	return n, err
}

// copy writes n bytes to the spool.
func (s *spooler) copy(r io.Reader, n int64) error {
	if n > s.left {
		return fmt.Errorf("its spool is %w: the header declares less than its streams hold", bundle.ErrDamaged)
	}
	got, err := io.CopyN(s.out, r, n)
	s.left -= got
	return err
}

// inflater reads a deflate stream of known lengths and is used again for the next.
type inflater struct {
	z      io.Reader
	stored io.LimitedReader
	in     *bufio.Reader
	out    *bufio.Reader
	left   int64 // plain bytes that are still to come
}

// open begins a stream of the given compressed and plain length at the position of r.
func (f *inflater) open(r io.Reader, stored, plain int64) *bufio.Reader {
	f.stored = io.LimitedReader{R: r, N: stored}
	f.left = plain
	if f.in == nil {
		f.in = bufio.NewReaderSize(&f.stored, 16<<10)
		f.out = bufio.NewReaderSize(inflated{f}, 64<<10)
	}
	f.in.Reset(&f.stored)
	f.z = newInflater(f.in)
	f.out.Reset(inflated{f})
	return f.out
}

// inflated is an inflater's plain side.
type inflated struct{ f *inflater }

// Read implements io.Reader. It never returns more than the plain length.
func (i inflated) Read(p []byte) (int, error) {
	f := i.f
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.z.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if n > 0 && f.left == 0 {
		return n, nil
	}
	if err == io.EOF {
		return n, fmt.Errorf("a stream of the base is %w: it holds less than the delta says", bundle.ErrDamaged)
	}
	return n, streamError(err)
}

// rest is how many plain bytes are still to be read.
func (f *inflater) rest() int64 { return f.left + int64(f.out.Buffered()) }

// end fails unless all of both lengths has been read.
func (f *inflater) end() error {
	if f.rest() > 0 {
		return fmt.Errorf("a stream of the base is %w: it was not read to its end", bundle.ErrDamaged)
	}
	var one [1]byte
	n, err := f.z.Read(one[:])
	if n > 0 {
		return fmt.Errorf("a stream of the base is %w: it holds more than the delta says", bundle.ErrDamaged)
	}
	if err != io.EOF {
		return streamError(err)
	}
	if f.stored.N != 0 || f.in.Buffered() > 0 {
		return fmt.Errorf("a stream of the base is %w: it is shorter than the delta says", bundle.ErrDamaged)
	}
	return nil
}

func streamError(err error) error {
	if notDeflate(err) {
		return fmt.Errorf("a stream of the base is %w: %v", bundle.ErrDamaged, err)
	}
	return err
}
