package fetch

import (
	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Want is content that is missing. DiffID and DiffSize are set for layers: a source may deliver the unpacked layer in place of Blob.
type Want struct {
	Blob     manifest.Blob
	DiffID   digest.Digest
	DiffSize int64
}

// Wants lists what a site of platform misses of a release, small things first: files, configs, layers. With a nil store that is everything.
func Wants(store *bundle.Store, r *manifest.Release, platform string) ([]Want, error) {
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, err
	}
	var all []Want
	for _, f := range r.Files {
		all = append(all, Want{Blob: f.Blob})
	}
	for _, p := range images {
		all = append(all, Want{Blob: p.Config})
	}
	for _, p := range images {
		for _, l := range p.Layers {
			all = append(all, Want{Blob: l.Blob, DiffID: l.DiffID, DiffSize: l.DiffSize})
		}
	}
	seen := map[digest.Digest]bool{}
	wants := []Want{}
	for _, w := range all {
		if seen[w.Blob.Digest] || store != nil && w.in(store) {
			continue
		}
		seen[w.Blob.Digest] = true
		wants = append(wants, w)
	}
	return wants, nil
}

// Size is how many bytes wants are, as they are carried.
func Size(wants []Want) (total int64) {
	for _, w := range wants {
		total += w.Blob.Size
	}
	return total
}

// in reports whether the store has it in one of its forms.
func (w Want) in(store *bundle.Store) bool {
	return store.HasLayer(manifest.Layer{Blob: w.Blob, DiffID: w.DiffID, DiffSize: w.DiffSize})
}
