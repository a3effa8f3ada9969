package delta

import (
	"context"
	"fmt"
	"io"

	"dhow/bundle"
)

// maxOp bounds an operation, before its length is compared with what is left.
const maxOp = 1<<62 - 1

// Copies that don't go on where the one before ended: one to so many bytes at most, which is fewer than any is made for, and these.
const (
	leastJump  = 16
	spareJumps = 1024
)

// Kinds of operations.
const (
	opCopy = iota // bytes of the base
	opAdd         // bytes of the delta
	opDiff        // bytes of the base, each with a byte of the delta added
	opKinds
)

// expanded reads the new layer with its zips opened, as the operations make it.
type expanded struct {
	ctx                                context.Context
	base                               *pages
	ops, places, literals, differences *sectionReader
	differencesAllowed                 bool
	total                              int64 // what is still to come
	kind                               int
	left                               int64 // of the operation at hand
	at                                 int64 // where it reads in the base
	jumps                              int64 // how many there may still be: each may cost reading a page
}

// openExpanded opens the sections that hold operations. base is the base followed by the spool.
func (h *Header) openExpanded(ctx context.Context, d io.ReaderAt, base *pages) (*expanded, error) {
	e := &expanded{ctx: ctx, base: base, total: h.Expanded, jumps: h.Expanded/leastJump + spareJumps, differencesAllowed: h.Features&featureDifferences != 0}
	for i, s := range map[int]**sectionReader{
		sectionOps: &e.ops, sectionPlaces: &e.places, sectionLiterals: &e.literals, sectionDifferences: &e.differences,
	} {
		var err error
		if *s, err = h.open(i, d); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

func (e *expanded) close() {
	for _, s := range []*sectionReader{e.ops, e.places, e.literals, e.differences} {
		if s != nil {
			s.close()
		}
	}
}

// Read implements io.Reader.
func (e *expanded) Read(p []byte) (int, error) {
	if e.total == 0 {
		return 0, io.EOF
	}
	for e.left == 0 {
		if err := e.next(); err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), e.left)]
	if err := e.fill(p); err != nil {
		return 0, err
	}
	e.left -= int64(len(p))
	e.total -= int64(len(p))
	e.at += int64(len(p))
	return len(p), nil
}

// next reads an operation.
func (e *expanded) next() error {
	if err := context.Cause(e.ctx); err != nil {
		return err
	}
	op, err := e.ops.number(maxOp)
	if err != nil {
		return err
	}
	e.kind, e.left = int(op&3), op>>2
	if e.kind >= opKinds || e.kind == opDiff && !e.differencesAllowed {
		return e.ops.damaged("it holds an unknown operation")
	}
	if e.left == 0 || e.left > e.total {
		return e.ops.damaged(fmt.Sprintf("it holds an operation of %d bytes where 1 to %d are possible", e.left, e.total))
	}
	if e.kind == opAdd {
		return nil
	}
	by, err := e.places.offset()
	if err != nil {
		return err
	}
	// e.at is the end of an earlier operation: between 0 and the sum of both sides. Only by can be anything.
	if by < -e.at || by > e.base.size || e.at+by > e.base.size-e.left {
		return e.places.damaged("it leads outside of the base")
	}
	if by != 0 {
		if e.jumps--; e.jumps < 0 {
			return e.places.damaged("it leads to more places than a layer of this size is made of")
		}
	}
	e.at += by
	return nil
}

func (e *expanded) fill(p []byte) error {
	if e.kind == opAdd {
		return e.literals.full(p)
	}
	if e.kind == opCopy {
		return e.base.read(p, e.at)
	}
	if err := e.differences.full(p); err != nil {
		return err
	}
	for at := e.at; len(p) > 0; {
		page, err := e.base.from(at)
		if err != nil {
			return err
		}
		n := min(len(page), len(p))
		for i, b := range page[:n] {
			p[i] += b
		}
		p = p[n:]
		at += int64(n)
	}
	return nil
}

// end fails unless everything that the delta holds has been used.
func (e *expanded) end() error {
	if e.total != 0 {
		return fmt.Errorf("the opened layer is %w: %d bytes more than the layer has", bundle.ErrDamaged, e.total)
	}
	for _, s := range []*sectionReader{e.ops, e.places, e.literals, e.differences} {
		if err := s.end(); err != nil {
			return err
		}
	}
	return nil
}
