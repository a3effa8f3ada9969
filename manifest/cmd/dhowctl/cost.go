package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/ladder"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

// costs reckons how many bytes sites fetch, by the rule of the sites themselves.
type costs struct {
	r     *sign.Repository
	empty *bundle.Store // what a new site has
}

// withCosts calls use with what reckons for a repository.
func withCosts(r *sign.Repository, use func(costs) error) error {
	dir, err := os.MkdirTemp("", "dhowctl-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	empty, err := bundle.OpenStore(dir)
	if err != nil {
		return err
	}
	return use(costs{r, empty})
}

// bytes is what a site of a platform fetches for a release when it has the other, nil for a new site.
func (c costs) bytes(release, other *manifest.Release, platform string) (int64, error) {
	ways, err := c.r.Ways(release.Version)
	if err != nil {
		return 0, err
	}
	q := ladder.Query{Store: c.empty, Ways: ways, Engine: map[digest.Digest]bool{}}
	has := map[digest.Digest]bool{}
	if other != nil {
		q.Known = []ladder.Release{{Version: other.Version, Images: imagesFor(other, platform)}}
		for _, i := range q.Known[0].Images {
			q.Engine[i.Config.Digest], has[i.Config.Digest] = true, true
			for _, l := range i.Layers {
				has[l.DiffID] = true
			}
		}
		for _, f := range other.Files {
			has[f.Digest] = true
		}
	}
	var sum int64
	small := func(b manifest.Blob) {
		if !has[b.Digest] {
			has[b.Digest] = true
			sum += b.Size
		}
	}
	for _, f := range release.Files {
		small(f.Blob)
	}
	for _, i := range imagesFor(release, platform) {
		small(i.Config)
		for _, l := range i.Layers {
			if !has[l.DiffID] {
				has[l.DiffID] = true
				q.Layers = append(q.Layers, l)
			}
		}
	}
	return sum + ladder.Make(q).Bytes, nil
}

// imagesFor returns the images of a release for one of its platforms, none for another.
func imagesFor(r *manifest.Release, platform string) []manifest.PlatformImage {
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil
	}
	return images
}

// text says how many bytes a site fetches for a release: from each of the older ones, and from nothing.
func (c costs) text(release *manifest.Release, older ...*manifest.Release) (string, error) {
	var parts []string
	platforms := release.Platforms()
	for _, p := range platforms {
		fresh, err := c.bytes(release, nil, p)
		if err != nil {
			return "", err
		}
		text := author.SizeText(fresh) + " to a new site"
		var from []string
		for _, o := range older {
			if !slices.Contains(o.Platforms(), p) {
				continue
			}
			n, err := c.bytes(release, o, p)
			if err != nil {
				return "", err
			}
			from = append(from, author.SizeText(n)+" from "+o.Version)
		}
		if len(from) > 0 {
			text = strings.Join(from, ", ") + " (" + text + ")"
		}
		if len(platforms) > 1 {
			text += " with " + p
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", "), nil
}

// tell puts what sites of each platform fetch into a report, and returns what they fetch when they have an older release, by its version.
func (c costs) tell(report *author.Report, release *manifest.Release, older []*manifest.Release) (map[string]map[string]int64, error) {
	from := map[string]map[string]int64{}
	for _, p := range release.Platforms() {
		var err error
		if report.NewSite[p], err = c.bytes(release, nil, p); err != nil {
			return nil, err
		}
		from[p] = map[string]int64{}
		for _, o := range older {
			if slices.Contains(o.Platforms(), p) {
				if from[p][o.Version], err = c.bytes(release, o, p); err != nil {
					return nil, err
				}
			}
		}
	}
	return from, nil
}

// before returns the releases that sites most likely come from to version: the newest n older ones, the newest first.
func before(r *sign.Repository, version string, n int) (list []*manifest.Release, err error) {
	older, err := twoBefore(r, version)
	if err != nil {
		return nil, err
	}
	for _, v := range older[:min(n, len(older))] {
		release, err := r.Release(v)
		if err != nil {
			return nil, err
		}
		list = append(list, release)
	}
	return list, nil
}

// waysText says what a document of ways holds beside the sums: "2 deltas, 1 whole layer".
func waysText(w *manifest.Ways) string {
	deltas, whole := 0, 0
	for _, l := range w.Layers {
		deltas += len(l.Deltas)
		if l.Full != nil {
			whole++
		}
	}
	return fmt.Sprintf("%s, %s as zstd", count(deltas, "delta"), count(whole, "whole layer"))
}
