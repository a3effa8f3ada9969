package database

import (
	"fmt"
	"io"
)

// parts writes the stream of a dump, adds up its parts, and tells of progress.
type parts struct {
	w     io.Writer
	tell  Progress
	total int64
	list  []Part
	done  int64
	err   error // of w: the reason for whatever the other side says of a broken pipe
}

// begin starts a part.
func (p *parts) begin(name string) { p.list = append(p.list, Part{Name: name}) }

func (p *parts) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil && p.err == nil {
		p.err = err
	}
	p.list[len(p.list)-1].Bytes += int64(n)
	if p.done += int64(n); p.tell != nil {
		p.tell(min(p.done, p.total), p.total)
	}
	return n, err
}

// reader reads the stream of a dump part by part.
type reader struct {
	r     io.Reader
	tell  Progress
	total int64
	done  int64
	list  []Part
}

// next returns the next part, which must be read to its end before the one after it.
func (r *reader) next(name string) (*part, error) {
	if len(r.list) == 0 || r.list[0].Name != name {
		return nil, fmt.Errorf("%w: it has no part %s where one should be", ErrDamaged, name)
	}
	p := &part{from: r, left: r.list[0].Bytes}
	r.list = r.list[1:]
	return p, nil
}

// end fails when anything is left.
func (r *reader) end() error {
	if n, err := io.ReadFull(r.r, make([]byte, 1)); n > 0 || len(r.list) > 0 {
		return fmt.Errorf("%w: it is longer than it should be", ErrDamaged)
	} else if err != io.EOF {
		return err
	}
	return nil
}

type part struct {
	from *reader
	left int64
	err  error
}

func (p *part) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.from.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if p.from.done += int64(n); p.from.tell != nil {
		p.from.tell(p.from.done, p.from.total)
	}
	switch {
	case err == io.EOF && p.left > 0:
		p.err = fmt.Errorf("%w: it is cut short", ErrDamaged)
	case err != nil && err != io.EOF:
		p.err = err
	}
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

// ended fails when the part was not read to its end, which is what counts when a program ends early and well.
func (p *part) ended() error {
	if p.err != nil {
		return p.err
	}
	if p.left > 0 {
		return fmt.Errorf("%w: the client did not read all of it", ErrDamaged)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
