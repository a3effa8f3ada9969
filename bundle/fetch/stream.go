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
		err = absent(fmt.Sprintf("it does not hold blob %s", j.left[0].Forms[0].Digest))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", src.Name(), err)
	}
	return nil
}

// takeNamed stores or verifies content that the source names.
func (j *job) takeNamed(ctx context.Context, open *openWants, b manifest.Blob, r io.Reader) error {
	form, wanted := open.find(b.Digest)
	if wanted && b.Size != form.Size {
		return fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, bundle.ErrDamaged, b.Size, form.Size)
	}
	if !wanted {
		_, err := io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+b.Digest.String()))
		return err
	}
	if err := j.store.Put(ctx, b, &progressReader{r: j.counted(r), j: j}); err != nil {
		return err
	}
	j.taken(open, b)
	return nil
}

// takeUnnamed stores content when its digest turns out to be wanted. Only content of a wanted length is put aside at all.
func (j *job) takeUnnamed(ctx context.Context, open *openWants, size int64, r io.Reader) error {
	if !open.sizes[size] {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	b, kept, err := j.store.ImportIf(ctx, j.counted(r), size, func(b manifest.Blob) bool {
		form, ok := open.find(b.Digest)
		return ok && form.Size == b.Size
	})
	if err != nil {
		return err
	}
	if kept {
		j.taken(open, b)
	}
	return nil
}

func (j *job) taken(open *openWants, b manifest.Blob) {
	for _, same := range open.close(b.Digest) {
		j.done += same.Size()
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
func (j *job) counted(r io.Reader) io.Reader { return countReader{r, &j.moved.Bytes} }

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

// openWants finds wants by the digests of their forms.
type openWants struct {
	wants []Want
	met   []bool
	by    map[digest.Digest][]int
	sizes map[int64]bool
}

func newOpenWants(wants []Want) *openWants {
	o := &openWants{wants: wants, met: make([]bool, len(wants)), by: map[digest.Digest][]int{}, sizes: map[int64]bool{}}
	for i, w := range wants {
		for _, b := range w.Forms {
			o.by[b.Digest] = append(o.by[b.Digest], i)
			o.sizes[b.Size] = true
		}
	}
	return o
}

// find returns the form with the digest d of a want that is still open.
func (o *openWants) find(d digest.Digest) (manifest.Blob, bool) {
	for _, i := range o.by[d] {
		if !o.met[i] {
			return o.wants[i].form(d)
		}
	}
	return manifest.Blob{}, false
}

// close notes that d has come, and returns the wants that are answered by it.
func (o *openWants) close(d digest.Digest) (answered []Want) {
	for _, i := range o.by[d] {
		if !o.met[i] {
			o.met[i] = true
			answered = append(answered, o.wants[i])
		}
	}
	return answered
}

func (o *openWants) rest() (rest []Want) {
	for i, w := range o.wants {
		if !o.met[i] {
			rest = append(rest, w)
		}
	}
	return rest
}
