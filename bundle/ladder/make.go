package ladder

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dhow/agent/fault"
	"dhow/bundle"
	"dhow/bundle/delta"
	"dhow/manifest"

	"github.com/klauspost/compress/zstd"
)

// makeOne turns what a step has fetched into the layer, and removes it.
func (r *runner) makeOne(ctx context.Context, bases *bases, s Step) error {
	rung := s.Rungs[0]
	if rung.Kind == Carried {
		return nil
	}
	if !r.Store.HasLayer(s.Layer) {
		var err error
		if rung.Kind == Delta {
			err = r.apply(ctx, bases, s.Layer, rung)
		} else {
			err = r.unpack(ctx, s.Layer, rung.Blob)
		}
		if err != nil {
			return err
		}
	}
	if err := fault.Point("ladder/made"); err != nil {
		return err
	}
	return r.Store.Remove(rung.Blob.Digest)
}

// unpack stores a layer that came as zstd.
func (r *runner) unpack(ctx context.Context, l manifest.Layer, from manifest.Blob) error {
	if err := fault.Point("ladder/unpack"); err != nil {
		return err
	}
	packed, err := r.Store.Open(from)
	if err != nil {
		return err
	}
	defer packed.Close()
	z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(bundle.FullWindow), zstd.WithDecoderMaxMemory(bundle.FullWindow))
	if err != nil {
		return unpackError(err)
	}
	defer z.Close()
	return r.Store.Put(ctx, plain(l), &decoder{r: z})
}

// decoder tells apart that compressed bytes are wrong from that they can't be read.
type decoder struct{ r io.Reader }

func (d *decoder) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	return n, unpackError(err)
}

func unpackError(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("its window is %w: unpacking it takes more than %d MiB of memory", bundle.ErrTooLarge, bundle.FullWindow>>20)
	case bundle.IsDecodeError(err) && !errors.Is(err, bundle.ErrDamaged):
		return fmt.Errorf("it is %w: cannot unpack it: %v", bundle.ErrDamaged, err)
	}
	return err
}

// apply stores a layer that a delta leads to.
func (r *runner) apply(ctx context.Context, bases *bases, l manifest.Layer, rung Rung) error {
	d, err := r.Store.File(rung.Blob)
	if err != nil {
		return err
	}
	defer d.Close()
	h, err := delta.ReadHeader(d, rung.Blob.Size)
	if err != nil {
		return err
	}
	if err := fits(h, l, rung); err != nil {
		return err
	}
	base, err := bases.open(ctx, rung.Base)
	if err != nil {
		return err
	}
	dir, err := r.work()
	if err != nil {
		return err
	}
	if err := fault.Point("ladder/apply"); err != nil {
		return err
	}
	progress, total := r.Progress, h.Work()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := safely(func() error {
			return delta.Apply(ctx, base, d, rung.Blob.Size, in, dir, func(done int64) {
				if progress != nil {
					progress(done, total)
				}
			})
		})
		_ = in.CloseWithError(err)
		ended <- err
	}()
	err = r.Store.Put(ctx, plain(l), out)
	_ = out.CloseWithError(err)
	switch applied := <-ended; {
	case errors.Is(applied, delta.ErrWrongBase):
		return &baseError{applied} // the header fits, so the bytes here are not what their name says
	case applied != nil && errors.Is(err, applied):
		return applied
	}
	return err
}

// safely calls f, which reads bytes from outside: should it panic over them, it is they who are wrong, and the agent lives on.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is %w: internal error: %v", bundle.ErrDamaged, p)
		}
	}()
	return f()
}

// fits compares what a delta says of itself with what is signed.
func fits(h delta.Header, l manifest.Layer, rung Rung) error {
	if h.New.DiffID != l.DiffID || h.New.Size != l.DiffSize {
		return fmt.Errorf("it %w: it leads to %s with %d bytes", delta.ErrMismatch, h.New.DiffID, h.New.Size)
	}
	if h.Spool > rung.Spool {
		return fmt.Errorf("its spool is %w: %d bytes, and %d are announced", bundle.ErrTooLarge, h.Spool, rung.Spool)
	}
	old := make([]delta.Identity, len(rung.Base.Layers))
	for i, b := range rung.Base.Layers {
		old[i] = delta.Identity{DiffID: b.DiffID, Size: b.DiffSize}
	}
	return h.Fits(old)
}
