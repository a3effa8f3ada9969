package delta

import (
	"io"
)

const (
	pageBits = 16
	pageSize = 1 << pageBits
)

// pages reads a file in pages, the last used of which it keeps.
type pages struct {
	r      io.ReaderAt
	size   int64
	slots  []page
	number int64 // of the page at hand
	page   []byte
}

type page struct {
	number int64
	data   []byte
}

func newPages(r io.ReaderAt, size int64, slots int) *pages {
	p := &pages{r: r, size: size, slots: make([]page, slots), number: -1}
	for i := range p.slots {
		p.slots[i].number = -1
	}
	return p
}

// from returns the bytes from address at up to the end of its page. They are valid until the next call; at is less than the size.
func (p *pages) from(at int64) ([]byte, error) {
	if n := at >> pageBits; n != p.number {
		if err := p.turn(n); err != nil {
			return nil, err
		}
	}
	return p.page[at&(pageSize-1):], nil
}

func (p *pages) turn(n int64) error {
	s := &p.slots[n%int64(len(p.slots))]
	if s.number != n {
		if s.data == nil {
			s.data = make([]byte, pageSize)
		}
		s.data = s.data[:min(pageSize, p.size-n<<pageBits)]
		s.number, p.number = -1, -1
		if got, err := p.r.ReadAt(s.data, n<<pageBits); got < len(s.data) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		s.number = n
	}
	p.number, p.page = n, s.data
	return nil
}

// read fills b from address at; it lies wholly inside.
func (p *pages) read(b []byte, at int64) error {
	for len(b) > 0 {
		if len(b) >= 2*pageSize {
			got, err := p.r.ReadAt(b, at)
			if got == len(b) {
				return nil
			}
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		page, err := p.from(at)
		if err != nil {
			return err
		}
		n := copy(b, page)
		b = b[n:]
		at += int64(n)
	}
	return nil
}
