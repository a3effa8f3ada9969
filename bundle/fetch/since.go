package fetch

import (
	"slices"

	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// WantsSince lists what a site of platform that has the release base misses of r: what a bundle "since base" holds. A layer is wanted as the
// smallest delta from an image of base, where ways name one that is smaller than what the image carries, as it is carried, or plain. ways may
// be nil.
func WantsSince(r, base *manifest.Release, ways *manifest.Ways, platform string) ([]Want, error) {
	wants, err := Wants(nil, r, platform)
	if err != nil {
		return nil, err
	}
	before, err := Wants(nil, base, platform)
	if err != nil { // nothing of that platform was there
		return wants, nil
	}
	there := map[digest.Digest]bool{}
	for _, w := range before {
		for _, form := range w.Forms {
			there[form.Digest] = true
		}
	}
	wants = slices.DeleteFunc(wants, func(w Want) bool {
		return slices.ContainsFunc(w.Forms, func(b manifest.Blob) bool { return there[b.Digest] })
	})
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, err
	}
	diffIDs := map[digest.Digest]digest.Digest{} // of layers, by what is carried
	for _, i := range images {
		for _, l := range i.Layers {
			diffIDs[l.Digest] = l.DiffID
		}
	}
	for n, w := range wants {
		for _, d := range ways.Of(diffIDs[w.Forms[0].Digest]).Deltas {
			if there[d.Base] && d.Size < w.Size() && (len(wants[n].Forms) == len(w.Forms) || d.Size < wants[n].Size()) {
				wants[n].Forms = append([]manifest.Blob{d.Blob}, w.Forms...)
			}
		}
	}
	return wants, nil
}
