package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// stream takes what is wanted out of a source that is read once. Every blob with a name is compared with it, wanted or not.
func (j *job) stream(ctx context.Context, src bundle.Streamer) error {
	open, before := newOpenWants(j.left), len(j.took)
	err := src.Each(ctx, func(d string, size int64, r io.Reader) error {
		if d == "" {
			return j.takeUnnamed(ctx, open, size, r)
		}
		return j.takeNamed(ctx, open, manifest.Blob{Digest: digest.Digest(d), Size: size}, r)
	})
	j.left = open.rest()
	if !refused(err) { // what came before the stick was pulled out is good
		j.took = j.took[:before]
	}
	if err == nil && len(j.left) > 0 {
		err = absent(fmt.Sprintf("it does not hold blob %s", j.left[0].Blob.Digest))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", src.Name(), err)
	}
	return nil
}

// takeNamed stores or verifies content that the source names.
func (j *job) takeNamed(ctx context.Context, open *openWants, b manifest.Blob, r io.Reader) error {
	want, wanted := open.find(b.Digest)
	if wanted && b.Size != want.size(b.Digest) {
		return fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, bundle.ErrDamaged, b.Size, want.size(b.Digest))
	}
	if !wanted {
		_, err := io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+b.Digest.String()))
		return err
	}
	if err := j.store.Put(ctx, b, &progressReader{r: j.counted(r), j: j}); err != nil {
		return err
	}
	j.taken(open, want, b)
	return nil
}

// takeUnnamed stores content when its digest turns out to be wanted. Only content of a wanted length is put aside at all.
func (j *job) takeUnnamed(ctx context.Context, open *openWants, size int64, r io.Reader) error {
	if !open.sizes[size] {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	b, kept, err := j.store.ImportIf(ctx, j.counted(r), size, func(b manifest.Blob) bool {
		want, ok := open.find(b.Digest)
		return ok && want.size(b.Digest) == b.Size
	})
	if err != nil {
		return err
	}
	if kept {
		want, _ := open.find(b.Digest)
		j.taken(open, want, b)
	}
	return nil
}

func (j *job) taken(open *openWants, w Want, b manifest.Blob) {
	for _, same := range open.close(w, b.Digest) {
		j.done += same.Blob.Size
	}
	j.took = append(j.took, b)
	j.progress(0)
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

// counted counts the bytes that come from a source.
func (j *job) counted(r io.Reader) io.Reader { return countReader{r, &j.moved} }

type countReader struct {
	r io.Reader
	n *int64
}

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// progressReader tells how far a blob is.
type progressReader struct {
	r io.Reader
	j *job
	n int64
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	p.j.progress(p.n)
	return n, err
}

// openWants finds wants by either of their digests.
type openWants struct {
	wants []Want
	got   map[digest.Digest]bool
	by    map[digest.Digest]int
	sizes map[int64]bool
}

func newOpenWants(wants []Want) *openWants {
	o := &openWants{wants: wants, got: map[digest.Digest]bool{}, by: map[digest.Digest]int{}, sizes: map[int64]bool{}}
	for i, w := range wants {
		o.by[w.Blob.Digest] = i
		o.sizes[w.Blob.Size] = true
		if w.DiffID != "" {
			if _, ok := o.by[w.DiffID]; !ok {
				o.by[w.DiffID] = i
			}
			o.sizes[w.DiffSize] = true
		}
	}
	return o
}

// find returns the want that d answers, if one is still open.
func (o *openWants) find(d digest.Digest) (Want, bool) {
	i, ok := o.by[d]
	if !ok || o.got[d] || o.satisfied(o.wants[i]) {
		return Want{}, false
	}
	return o.wants[i], true
}

func (o *openWants) satisfied(w Want) bool {
	return o.got[w.Blob.Digest] || w.DiffID != "" && o.got[w.DiffID]
}

// close notes that d has come, and returns the wants that are answered by it.
func (o *openWants) close(_ Want, d digest.Digest) (answered []Want) {
	for _, w := range o.wants {
		if !o.satisfied(w) && (w.Blob.Digest == d || w.DiffID == d) {
			answered = append(answered, w)
		}
	}
	o.got[d] = true
	return answered
}

func (o *openWants) rest() (rest []Want) {
	for _, w := range o.wants {
		if !o.satisfied(w) {
			rest = append(rest, w)
		}
	}
	return rest
}

// size is the length of the form of w that has the digest d.
func (w Want) size(d digest.Digest) int64 {
	if d == w.DiffID {
		return w.DiffSize
	}
	return w.Blob.Size
}
