package delta

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"dhow/bundle/delta/deflate"

	"github.com/opencontainers/go-digest"
)

// Layer is a layer's plain tar.
type Layer struct {
	Identity
	Tar io.ReaderAt
}

// Apply writes the layer that delta d, of size bytes, leads to. old are the layers of the base in the order of the header; they are
// hashed before anything is made of them. A spool of Header.Spool bytes is written to a file in dir and removed again. progress, if not
// nil, is told how many of Work's bytes are done.
//
// What was written to out is the layer only if Apply returns nil: the digest is known at the end. It fails with ErrWrongBase,
// ErrUnknownFeature, ErrMismatch, bundle.ErrDamaged, bundle.ErrTooLarge, the cause of ctx, or an error of out or of the disk.
func Apply(ctx context.Context, old []Layer, d io.ReaderAt, size int64, out io.Writer, dir string, progress func(done int64)) error {
	h, err := readHeader(d, size)
	if err == nil {
		err = h.apply(ctx, old, d, out, dir, progress)
	}
	if err != nil {
		return fmt.Errorf("cannot apply delta: %w", err)
	}
	return nil
}

// Work is how many bytes Apply reads of the base and writes: the unit of its progress.
func (h *Header) Work() int64 {
	return h.New.Size + h.base()
}

// base is the length of all layers of the base.
func (h *Header) base() (sum int64) {
	for _, l := range h.Old {
		sum += l.Size
	}
	return sum
}

// Fits fails with ErrWrongBase unless the delta is made for these layers.
func (h *Header) Fits(old []Identity) error {
	if len(old) != len(h.Old) {
		return fmt.Errorf("%w: that has %d layers, and this one has %d", ErrWrongBase, len(h.Old), len(old))
	}
	for i, l := range old {
		if l != h.Old[i] {
			return fmt.Errorf("%w: layer %d of that is %s with %d bytes, and here it is %s with %d",
				ErrWrongBase, i+1, h.Old[i].DiffID, h.Old[i].Size, l.DiffID, l.Size)
		}
	}
	return nil
}

func (h *Header) apply(ctx context.Context, old []Layer, d io.ReaderAt, out io.Writer, dir string, progress func(int64)) error {
	var done int64
	step := func(n int64) {
		if done += n; progress != nil {
			progress(done)
		}
	}
	names := make([]Identity, len(old))
	for i, l := range old {
		names[i] = l.Identity
	}
	if err := h.Fits(names); err != nil {
		return err
	}
	if err := h.verify(ctx, d); err != nil {
		return err
	}
	f, remove, err := spoolFile(dir)
	if err != nil {
		return err
	}
	defer remove()
	if err := h.spool(ctx, d, old, f, step); err != nil {
		return err
	}
	base := join(append(append([]Layer(nil), old...), Layer{Identity{Size: h.Spool}, f}))
	e, err := h.openExpanded(ctx, d, newPages(base, base.size, 64))
	if err != nil {
		return err
	}
	defer e.close()
	return h.build(ctx, d, e, out, step)
}

// build closes the zips again and compares what comes out with what the header names.
func (h *Header) build(ctx context.Context, d io.ReaderAt, e *expanded, out io.Writer, step func(int64)) error {
	streams, err := h.open(sectionNew, d)
	if err != nil {
		return err
	}
	defer streams.close()
	final := &layerWriter{w: out, hash: sha256.New(), left: h.New.Size, step: step}
	b := &builder{streams: streams, from: e, out: bufio.NewWriterSize(final, 256<<10), buffer: make([]byte, 256<<10)}
	for {
		more, err := streams.more()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := b.stream(); err != nil {
			return err
		}
	}
	if err := b.copy(b.out, e.total); err != nil {
		return err
	}
	if err := b.out.Flush(); err != nil {
		return err
	}
	if err := streams.end(); err != nil {
		return err
	}
	if err := e.end(); err != nil {
		return err
	}
	return final.check(h.New)
}

// builder writes the new layer.
type builder struct {
	streams      *sectionReader
	from         *expanded
	out          *bufio.Writer
	outer, inner *deflate.Writer
	buffer       []byte
}

// copy passes n bytes of the opened layer on.
func (b *builder) copy(w io.Writer, n int64) error {
	if n > b.from.total {
		return b.streams.damaged("its streams hold more than the layer")
	}
	for n > 0 {
		got, err := b.from.Read(b.buffer[:min(n, int64(len(b.buffer)))])
		if err != nil {
			return err
		}
		if _, err := w.Write(b.buffer[:got]); err != nil {
			return err
		}
		n -= int64(got)
	}
	return nil
}

// stream writes what stands before a stream and the stream, which may have streams inside.
func (b *builder) stream() error {
	limit := b.from.total
	gap, err := b.streams.number(limit)
	if err != nil {
		return err
	}
	if err := b.copy(b.out, gap); err != nil {
		return err
	}
	begun := b.from.total
	if err := b.begin(&b.outer, b.out); err != nil {
		return err
	}
	count, err := b.streams.number(maxInner)
	if err != nil {
		return err
	}
	for range count {
		gap, err := b.streams.number(limit)
		if err != nil {
			return err
		}
		if err := b.copy(b.outer, gap); err != nil {
			return err
		}
		if err := b.begin(&b.inner, b.outer); err != nil {
			return err
		}
		n, err := b.streams.number(limit)
		if err != nil {
			return err
		}
		if err := b.worth(n); err != nil {
			return err
		}
		if err := b.copy(b.inner, n); err != nil {
			return err
		}
		if err := b.inner.Close(); err != nil {
			return err
		}
	}
	tail, err := b.streams.number(limit)
	if err != nil {
		return err
	}
	if err := b.copy(b.outer, tail); err != nil {
		return err
	}
	if err := b.worth(begun - b.from.total); err != nil {
		return err
	}
	return b.outer.Close()
}

// worth fails when a stream takes so few bytes of the opened layer that nobody would have opened it: to begin one costs more than to fill
// it, so that this is what bounds the time that a layer of some size can take.
func (b *builder) worth(n int64) error {
	if n < leastPlain {
		return b.streams.damaged(fmt.Sprintf("it holds a stream of %d bytes, at least %d are possible", n, leastPlain))
	}
	return nil
}

// begin reads a stream's parameters and begins to write it to w.
func (b *builder) begin(d **deflate.Writer, w io.Writer) error {
	if err := context.Cause(b.from.ctx); err != nil {
		return err
	}
	n, err := b.streams.number(255)
	if err != nil {
		return err
	}
	p := unpackParams(n)
	if !p.Valid() {
		return b.streams.damaged(fmt.Sprintf("it asks for the deflate parameters %#x", n))
	}
	if *d == nil {
		*d, err = deflate.NewWriter(w, p)
		return err
	}
	return (*d).Reset(w, p)
}

func packParams(p deflate.Params) int64 { return int64(p.Level)<<4 | int64(p.MemLevel) }

func unpackParams(n int64) deflate.Params {
	return deflate.Params{Level: int(n >> 4), MemLevel: int(n & 15)}
}

// layerWriter counts and hashes the output, and never writes more than the layer's length.
type layerWriter struct {
	w    io.Writer
	hash hash.Hash
	left int64
	step func(int64)
}

// Write implements io.Writer.
func (l *layerWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, fmt.Errorf("it %w: it becomes larger than the header says", ErrMismatch)
	}
	n, err := l.w.Write(p)
	l.hash.Write(p[:n])
	l.left -= int64(n)
	l.step(int64(n))
	return n, err
}

func (l *layerWriter) check(want Identity) error {
	if l.left != 0 {
		return fmt.Errorf("it %w: %d bytes are missing", ErrMismatch, l.left)
	}
	if got := digest.NewDigestFromBytes(digest.SHA256, l.hash.Sum(nil)); got != want.DiffID {
		return fmt.Errorf("it %w: the diff ID is %s and should be %s", ErrMismatch, got, want.DiffID)
	}
	return nil
}
