package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Want is content that is missing, in every form that will do, the preferred one first. There is at least one.
type Want struct {
	Forms []manifest.Blob
	// Layer is what is wanted, if that is a layer: the form that it is carried as is unpacked beside the transfer then (PartialFile.Unpack).
	Layer manifest.Layer
}

// Wants lists what a site of platform misses of a release, small things first: files, configs, layers by size. A layer is wanted as it is
// carried or plain. With a nil store that is everything.
func Wants(store *bundle.Store, r *manifest.Release, platform string) ([]Want, error) {
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, err
	}
	var all, layers []Want
	for _, f := range r.Files {
		all = append(all, Want{Forms: []manifest.Blob{f.Blob}})
	}
	for _, p := range images {
		all = append(all, Want{Forms: []manifest.Blob{p.Config}})
		for _, l := range p.Layers {
			layers = append(layers, wantLayer(l))
		}
	}
	slices.SortStableFunc(layers, func(a, b Want) int { return cmp.Compare(a.Size(), b.Size()) })
	seen := map[digest.Digest]bool{}
	wants := []Want{}
	for _, w := range append(all, layers...) {
		if d := w.Forms[0].Digest; !seen[d] && (store == nil || !w.In(store)) {
			seen[d] = true
			wants = append(wants, w)
		}
	}
	return wants, nil
}

func wantLayer(l manifest.Layer) Want {
	w := Want{Forms: []manifest.Blob{l.Blob}, Layer: l}
	if l.DiffID != l.Digest {
		w.Forms = append(w.Forms, manifest.Blob{Digest: l.DiffID, Size: l.DiffSize})
	}
	return w
}

// Size is how many bytes wants are in the forms that are preferred.
func Size(wants []Want) (total int64) {
	for _, w := range wants {
		total += w.Size()
	}
	return total
}

// Size is the length in bytes of the form that is preferred.
func (w Want) Size() int64 { return w.Forms[0].Size }

// In reports whether the store has it in one of its forms.
func (w Want) In(store *bundle.Store) bool { return slices.ContainsFunc(w.Forms, store.Has) }

// form returns the form that has a digest.
func (w Want) form(d digest.Digest) (manifest.Blob, bool) {
	i := slices.IndexFunc(w.Forms, func(b manifest.Blob) bool { return b.Digest == d })
	if i < 0 {
		return manifest.Blob{}, false
	}
	return w.Forms[i], true
}

func (w Want) check() error {
	if len(w.Forms) == 0 {
		return errors.New("internal error: a want without a form can't be fetched")
	}
	for _, b := range w.Forms {
		if !bundle.IsDigest(b.Digest) || b.Size < 0 {
			return fmt.Errorf("internal error: %q can't be fetched: wrong digest or size", b.Digest)
		}
	}
	return nil
}
