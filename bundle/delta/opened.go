package delta

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"dhow/bundle"
	"dhow/bundle/delta/deflate"
)

// side is one of the two sides of a delta while it is made.
type side struct {
	ctx     context.Context
	layers  *joined
	dir     string
	step    func(int64)
	streams []stream         // those that are opened
	held    *scratch         // what they hold, one after the other
	inexact int              // streams that can't be made again
	last    []deflate.Params // guesses, the newest right one first
	writer  *deflate.Writer
}

// scratch is a file that is written from front to back and read anywhere.
type scratch struct {
	f      *os.File
	w      *bufio.Writer
	size   int64
	remove func()
}

func newScratch(dir string) (*scratch, error) {
	f, remove, err := spoolFile(dir)
	if err != nil {
		return nil, err
	}
	return &scratch{f: f, w: bufio.NewWriterSize(f, 256<<10), remove: remove}, nil
}

// Write implements io.Writer.
func (s *scratch) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.size += int64(n)
	return n, err
}

// ReadAt implements io.ReaderAt. Only what was written before the last flush can be read.
func (s *scratch) ReadAt(p []byte, at int64) (int, error) { return s.f.ReadAt(p, at) }

// truncate forgets what was written from at on.
func (s *scratch) truncate(at int64) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	s.size = at
	_, err := s.f.Seek(at, io.SeekStart)
	return err
}

// close removes the file.
func (s *scratch) close() {
	if s != nil {
		s.remove()
	}
}

// find lists all streams of the side.
func (s *side) find() error {
	scan := newScanner(s.ctx, s.layers, s.layers.size, s.step)
	for i, l := range s.layers.layers {
		from := s.layers.starts[i]
		found, err := scan.scan(from, from+l.Size)
		if err != nil {
			return err
		}
		s.streams = append(s.streams, found...)
	}
	return nil
}

// sums returns the sums of all streams.
func sums(streams []stream, into map[[16]byte]bool) map[[16]byte]bool {
	for _, s := range streams {
		into[s.sum] = true
	}
	return into
}

// open opens the streams whose compressed form the other side has not. exact says that they must be made again one day.
func (s *side) open(other map[[16]byte]bool, exact bool) error {
	var err error
	if s.held, err = newScratch(s.dir); err != nil {
		return err
	}
	seen := make(map[[16]byte]bool)
	kept := s.streams[:0]
	for _, one := range s.streams {
		if other[one.sum] || !exact && seen[one.sum] || len(kept) >= maxInner {
			continue
		}
		seen[one.sum] = true
		ok, err := s.hold(s.held, s.layers, &one, exact)
		if err != nil {
			return err
		}
		if ok {
			kept = append(kept, one)
		}
	}
	s.streams = kept
	if err := s.held.w.Flush(); err != nil {
		return err
	}
	scan := newScanner(s.ctx, s.held, s.layers.size, func(int64) {})
	for i := range s.streams {
		one := &s.streams[i]
		if one.inside, err = scan.scan(one.spool, one.spool+one.plain); err != nil {
			return err
		}
	}
	return nil
}

// hold writes what a stream of r holds to a file, if it can be made again where that matters.
func (s *side) hold(to *scratch, r io.ReaderAt, one *stream, exact bool) (bool, error) {
	if err := context.Cause(s.ctx); err != nil {
		return false, err
	}
	one.spool = to.size
	if _, err := io.Copy(to, s.inflate(r, one)); err != nil {
		return false, err
	}
	one.opened = one.plain
	if !exact {
		return true, nil
	}
	if err := to.w.Flush(); err != nil {
		return false, err
	}
	ok, err := s.guess(to, r, one)
	if err == nil && !ok {
		s.inexact++
		err = to.truncate(one.spool)
	}
	return ok, err
}

func (s *side) inflate(r io.ReaderAt, one *stream) io.Reader {
	return newInflater(bufio.NewReader(bundle.WithContext(s.ctx, io.NewSectionReader(r, one.at, one.stored))))
}

// guesses are the parameters in the order in which they are tried. memLevel 9 is what Python's and some others' zips have.
var guesses = func() []deflate.Params {
	var all []deflate.Params
	for _, mem := range []int{8, 9} {
		for _, level := range []int{6, 9, 1, 5, 7, 8, 4, 3, 2} {
			all = append(all, deflate.Params{Level: level, MemLevel: mem})
		}
	}
	return all
}()

// guess finds the parameters that make the stream. Those that made the streams before come first; a wrong guess mostly shows within the
// first block.
func (s *side) guess(held *scratch, r io.ReaderAt, one *stream) (bool, error) {
	if s.last == nil {
		s.last = append(s.last, guesses...)
	}
	check := &comparer{}
	if s.writer == nil {
		s.writer = &deflate.Writer{}
	}
	d := s.writer
	for i, p := range s.last {
		check.reset(io.NewSectionReader(r, one.at, one.stored))
		if err := d.Reset(check, p); err != nil {
			return false, err
		}
		_, err := io.Copy(d, bundle.WithContext(s.ctx, io.NewSectionReader(held, one.spool, one.plain)))
		if err == nil {
			err = d.Close()
		}
		if err == nil && check.atEnd() {
			one.params = p
			copy(s.last[1:], s.last[:i])
			s.last[0] = p
			return true, nil
		}
		if err != nil && err != errDifferent {
			return false, err
		}
	}
	return false, nil
}

// errDifferent ends a wrong guess.
var errDifferent = errors.New("internal error: another stream")

// comparer compares what is written to it with what a reader holds.
type comparer struct {
	r      *bufio.Reader
	buffer [4096]byte
}

func (c *comparer) reset(r io.Reader) {
	if c.r == nil {
		c.r = bufio.NewReaderSize(r, 64<<10)
	}
	c.r.Reset(r)
}

// Write implements io.Writer. It fails with errDifferent.
func (c *comparer) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		part := p[at:min(at+len(c.buffer), len(p))]
		want := c.buffer[:len(part)]
		if _, err := io.ReadFull(c.r, want); err == io.EOF || err == io.ErrUnexpectedEOF {
			return at, errDifferent
		} else if err != nil {
			return at, err
		}
		if !bytes.Equal(part, want) {
			return at, errDifferent
		}
		at += len(part)
	}
	return len(p), nil
}

func (c *comparer) atEnd() bool {
	_, err := c.r.Peek(1)
	return err == io.EOF
}

// openInside opens the streams inside of those that are open, and returns the side's opened form: for the base the spool, for the new
// layer (exact) all of it.
func (s *side) openInside(other map[[16]byte]bool, exact bool) (*scratch, error) {
	out, err := newScratch(s.dir)
	if err != nil {
		return nil, err
	}
	if err := s.writeOpened(out, other, exact); err != nil {
		out.close()
		return nil, err
	}
	return out, nil
}

func (s *side) writeOpened(out *scratch, other map[[16]byte]bool, exact bool) error {
	at := int64(0)
	for i := range s.streams {
		one := &s.streams[i]
		if exact {
			if err := copyRange(out, s.layers, at, one.at); err != nil {
				return err
			}
		}
		begin := out.size
		if err := s.writeStream(out, one, other, exact); err != nil {
			return err
		}
		one.spool, one.opened = begin, out.size-begin
		at = one.end()
	}
	if exact {
		if err := copyRange(out, s.layers, at, s.layers.size); err != nil {
			return err
		}
	}
	return out.w.Flush()
}

func (s *side) writeStream(out *scratch, one *stream, other map[[16]byte]bool, exact bool) error {
	at, kept := one.spool, one.inside[:0]
	for _, in := range one.inside {
		if other[in.sum] || len(kept) >= maxInner {
			continue
		}
		if err := copyRange(out, s.held, at, in.at); err != nil {
			return err
		}
		ok, err := s.hold(out, s.held, &in, exact)
		if err != nil {
			return err
		}
		if at = in.at; !ok {
			continue
		}
		at = in.end()
		in.at -= one.spool
		kept = append(kept, in)
	}
	one.inside = kept
	return copyRange(out, s.held, at, one.spool+one.plain)
}

func copyRange(w io.Writer, r io.ReaderAt, from, to int64) error {
	n, err := io.Copy(w, io.NewSectionReader(r, from, to-from))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return err
}
