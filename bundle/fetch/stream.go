package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// stream takes what is wanted out of a source that is read front to back. Every blob with a name is compared with it, wanted or not.
func (j *job) stream(ctx context.Context, s *source) error {
	before, came := len(j.took), false
	err := s.stream.Each(ctx, func(d string, size int64, r io.Reader) error {
		took := len(j.took)
		err := j.take(ctx, d, size, r)
		came = came || len(j.took) > took
		return err
	})
	if !refused(err) { // what came before the stick was pulled out is good
		j.took = j.took[:before]
	}
	s.at = time.Now()
	if s.tries++; came {
		s.tries = 0
	}
	if err != nil {
		err = s.named(err)
	}
	s.failed = err
	return err
}

func (j *job) take(ctx context.Context, d string, size int64, r io.Reader) error {
	if d == "" {
		return j.takeUnnamed(ctx, size, r)
	}
	return j.takeNamed(ctx, manifest.Blob{Digest: digest.Digest(d), Size: size}, r)
}

// takeNamed stores or verifies content that the source names.
func (j *job) takeNamed(ctx context.Context, b manifest.Blob, r io.Reader) error {
	it, form := j.list.claim(b.Digest)
	if it == nil {
		_, err := io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+b.Digest.String()))
		return err
	}
	defer j.list.reopen(it)
	if b.Size != form.Size {
		return fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, bundle.ErrDamaged, b.Size, form.Size)
	}
	if err := j.pour(ctx, it, form, r); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	j.took = append(j.took, form)
	return j.meet(form)
}

// pour makes a blob of what r holds. When r breaks off the beginning stays, and another source can go on behind it. What was here before stays
// until the whole is known to be right.
func (j *job) pour(ctx context.Context, it *item, b manifest.Blob, r io.Reader) error {
	part, err := j.part(ctx, it, b)
	if err != nil {
		return err
	}
	defer func() { part.Close() }()
	begun, beside := part.Size(), false
	buf := make([]byte, 256<<10)
	for at := int64(0); ; {
		n, err := r.Read(buf)
		j.list.came(n, false)
		if n > 0 {
			same, werr := alike(part, buf[:n], at)
			if werr == nil && int64(same) < min(part.Size()-at, int64(n)) { // one of the two is wrong
				if part, werr = j.copied(ctx, part, b, at+int64(same)); werr != nil {
					return werr
				}
				beside = true
			}
			if werr == nil {
				_, werr = part.Write(buf[same:n])
			}
			if werr != nil {
				return werr
			}
			at += int64(n)
			j.list.has(it, b, part.Size())
		}
		switch {
		case err == io.EOF && !beside && begun < b.Size:
			if wrong := part.Check(); wrong != nil {
				return also(wrong, part.CutTo(ctx, begun))
			}
			return part.Finish()
		case err == io.EOF:
			return part.Finish()
		case refused(err) && !beside: // nothing of it is believed
			return also(err, part.CutTo(ctx, begun))
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// alike is how much of p stands at an offset of a part, at most as far as that goes.
func alike(part *bundle.PartialFile, p []byte, at int64) (same int, err error) {
	here := part.Size() - at
	if here <= 0 {
		return 0, nil
	}
	own := make([]byte, min(here, int64(len(p))))
	if _, err := part.ReadAt(own, at); err != nil {
		return 0, err
	}
	for same < len(own) && own[same] == p[same] {
		same++
	}
	return same, nil
}

// copied closes a part, and returns another one beside it that begins with the same n bytes.
func (j *job) copied(ctx context.Context, part *bundle.PartialFile, b manifest.Blob, n int64) (*bundle.PartialFile, error) {
	other, err := j.store.Beside(ctx, b)
	if err != nil {
		return part, err
	}
	if _, err := io.Copy(other, bundle.WithContext(ctx, io.NewSectionReader(part, 0, n))); err != nil {
		return part, also(err, other.Close())
	}
	return other, part.Close()
}

// takeUnnamed stores content when its digest turns out to be wanted. Only content of a wanted length is put aside at all.
func (j *job) takeUnnamed(ctx context.Context, size int64, r io.Reader) error {
	if !j.list.wantsSize(size) {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	var it *item
	b, _, err := j.store.ImportIf(ctx, countReader{r, j.list}, size, func(b manifest.Blob) bool {
		var form manifest.Blob
		it, form = j.list.claim(b.Digest)
		return it != nil && form.Size == b.Size
	})
	if it == nil {
		return err
	}
	defer j.list.reopen(it)
	if err != nil {
		return err
	}
	j.took = append(j.took, b)
	return j.meet(b)
}

// refused reports whether an error says that a source holds what it must not hold.
func refused(err error) bool {
	return errors.Is(err, bundle.ErrDamaged) || errors.Is(err, bundle.ErrUnsafePath) || errors.Is(err, bundle.ErrTooLarge)
}

// refuse returns err, after it has removed what came from streams that are refused: nothing of them stays behind.
func (j *job) refuse(err error) error {
	for _, b := range j.took {
		err = also(err, j.store.Remove(b.Digest))
	}
	return err
}

// also adds a second error, if there is one.
func also(err, second error) error {
	if second == nil {
		return err
	}
	return fmt.Errorf("%w; %w", err, second)
}

// countReader counts the bytes that come from a stream.
type countReader struct {
	r    io.Reader
	list *ledger
}

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.list.came(n, false)
	return n, err
}
