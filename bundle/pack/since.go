package pack

import (
	"fmt"
	"slices"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
)

// Since leaves out what a release has that all sites of the bundle have.
type Since struct {
	Release *manifest.Release
	// Ways to the releases of the bundle, as far as there are any: a delta from an image of Release is taken in place of a layer.
	Ways []*manifest.Ways
}

// Blobs returns what a bundle of r holds for a platform, or for all, in the form that the store has.
func (s *Since) Blobs(store *bundle.Store, r *manifest.Release, platform string) (list []manifest.Blob, err error) {
	platforms := []string{platform}
	if platform == "" {
		platforms = r.Platforms()
	}
	var ways *manifest.Ways
	if i := slices.IndexFunc(s.Ways, func(w *manifest.Ways) bool { return w.Version == r.Version }); i >= 0 {
		ways = s.Ways[i]
	}
	for _, platform := range platforms {
		wants, err := fetch.WantsSince(r, s.Release, ways, platform)
		if err != nil {
			return nil, err
		}
		for _, w := range wants {
			list = append(list, w.Forms[max(0, slices.IndexFunc(w.Forms, store.Has))])
		}
	}
	return list, nil
}

// addSince plans a bundle that leaves out what a release has. No image is whole in it, so none is listed for other programs.
func (p *plan) addSince(c Contents, add func(manifest.Blob)) error {
	for _, r := range c.Releases {
		list, err := c.Since.Blobs(c.Store, r, c.Platform)
		if err != nil {
			return err
		}
		for _, b := range list {
			add(b)
		}
	}
	p.warnings = append(p.warnings, fmt.Sprintf("plain docker load can't be used on this bundle: it holds what is new since %s", c.Since.Release.Version))
	return nil
}
