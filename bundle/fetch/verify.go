package fetch

import (
	"context"
	"fmt"
	"io"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Verify reads everything that a source holds of wants, and compares it, without keeping anything. A streamed source is read and compared
// as a whole. It fails with ErrDamaged, or with fs.ErrNotExist for what is missing.
func Verify(ctx context.Context, src bundle.Source, wants []Want, progress func(done, total int64)) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	total, done := Size(wants), int64(0)
	var err error
	if s, ok := src.(bundle.Streamer); ok {
		err = verifyStream(ctx, s, newOpenWants(wants), func(n int64) { done += n; progress(done, total) })
	} else {
		for _, w := range wants {
			if err = verifyAny(ctx, src, w); err != nil {
				break
			}
			done += w.Size()
			progress(done, total)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", src.Name(), err)
	}
	return nil
}

// verifyAny reads the first form that the source has.
func verifyAny(ctx context.Context, src bundle.Source, w Want) (first error) {
	for _, b := range w.Forms {
		err := verifyBlob(ctx, src, b)
		if !isNotExist(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func verifyBlob(ctx context.Context, src bundle.Source, b manifest.Blob) error {
	ctx, stop, alive := stallContext(ctx, stallTimeout)
	defer stop()
	r, err := src.Blob(ctx, b, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, bundle.NewVerifier(bundle.WithContext(ctx, aliveReader{r, alive}), b, "blob "+b.Digest.String()))
	return err
}

func verifyStream(ctx context.Context, src bundle.Streamer, open *openWants, came func(int64)) error {
	err := src.Each(ctx, func(d string, size int64, r io.Reader) error {
		b := manifest.Blob{Digest: digest.Digest(d), Size: size}
		if d == "" {
			h := digest.SHA256.Digester()
			if _, err := io.Copy(h.Hash(), r); err != nil {
				return err
			}
			b.Digest = h.Digest()
		} else if _, err := io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+d)); err != nil {
			return err
		}
		if form, ok := open.find(b.Digest); ok && form.Size == size {
			for _, same := range open.close(b.Digest) {
				came(same.Size())
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if rest := open.rest(); len(rest) > 0 {
		return absent(fmt.Sprintf("it does not hold blob %s", rest[0].Forms[0].Digest))
	}
	return nil
}

// openWants finds wants by the digests of their forms.
type openWants struct {
	wants []Want
	met   []bool
	by    map[digest.Digest][]int
}

func newOpenWants(wants []Want) *openWants {
	o := &openWants{wants: wants, met: make([]bool, len(wants)), by: map[digest.Digest][]int{}}
	for i, w := range wants {
		for _, b := range w.Forms {
			o.by[b.Digest] = append(o.by[b.Digest], i)
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
