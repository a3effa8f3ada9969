package archive

import (
	"fmt"
	"slices"
)

// The content of all files of a tree, or of a stream, is a list of extents: for each its length (uint32) and the SHA-256 of its
// chunk, zeros for a hole. The list is stored in chunks of whole extents, which end where a digest says so, so that what did not
// change is not stored again.
const (
	extentSize   = 4 + len(digest{})
	fullList     = 4096                 // extents
	listMask     = uint32(1<<10-1) << 8 // of a digest's first four bytes
	maxHole      = 1 << 30
	maxListBytes = fullList * extentSize
)

// listWriter stores extents.
type listWriter struct {
	put  func([]byte) (ref, error)
	buf  []byte
	refs []ref
}

func (l *listWriter) add(x extent) error {
	l.buf = append(l.buf, x.record()...)
	if len(l.buf) < maxListBytes && (x.hole() || le.Uint32(x.id[:])&listMask != 0) {
		return nil
	}
	return l.flush()
}

func (l *listWriter) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	x, err := l.put(l.buf)
	l.refs, l.buf = append(l.refs, x), l.buf[:0]
	return err
}

// listMark is where a list stood.
type listMark struct {
	refs int
	buf  []byte
}

func (l *listWriter) mark() listMark { return listMark{len(l.refs), slices.Clone(l.buf)} }

// back forgets what was added since.
func (l *listWriter) back(m listMark) { l.refs, l.buf = l.refs[:m.refs], append(l.buf[:0], m.buf...) }

// parseList reads a chunk of a list.
func parseList(b []byte) ([]extent, error) {
	if len(b)%extentSize != 0 || len(b) > maxListBytes {
		return nil, damaged("a list of chunks has %d bytes", len(b))
	}
	list := make([]extent, 0, len(b)/extentSize)
	for ; len(b) > 0; b = b[extentSize:] {
		x := extent{ref{size: le.Uint32(b)}}
		copy(x.id[:], b[4:])
		if x.size == 0 || x.size > maxHole || !x.hole() && x.size > maxChunk {
			return nil, damaged("a list of chunks has one of %d bytes", x.size)
		}
		list = append(list, x)
	}
	return list, nil
}

// extents reads a list.
type extents struct {
	r    *reader
	refs []ref
	list []extent
}

// next returns the next extent, which must be no longer than limit.
func (e *extents) next(limit int64) (extent, error) {
	for len(e.list) == 0 {
		if len(e.refs) == 0 {
			return extent{}, damaged("a list of chunks ends early")
		}
		b, err := e.r.chunk(e.refs[0])
		if err != nil {
			return extent{}, err
		}
		if e.list, err = parseList(b); err != nil {
			return extent{}, err
		}
		e.refs = e.refs[1:]
	}
	x := e.list[0]
	if int64(x.size) > limit {
		return extent{}, damaged("a list of chunks does not fit its file")
	}
	e.list = e.list[1:]
	return x, nil
}

// skip passes over size bytes and hands each extent to see.
func (e *extents) skip(size int64, see func(extent) error) error {
	for size > 0 {
		x, err := e.next(size)
		if err != nil {
			return err
		}
		if err := see(x); err != nil {
			return err
		}
		size -= int64(x.size)
	}
	return nil
}

// end says whether all has been read.
func (e *extents) end() error {
	if len(e.list) > 0 || len(e.refs) > 0 {
		return fmt.Errorf("%w: a list of chunks is too long", ErrDamaged)
	}
	return nil
}
