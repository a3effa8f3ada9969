package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

var platformPattern = regexp.MustCompile(`^[a-z0-9]{1,32}/[a-z0-9_]{1,32}(/[a-z0-9]{1,16})?$`)

// NormalizePlatform returns os/arch[/variant] as releases write it. It takes what engines and kernels say as well:
// "linux/x86_64" becomes "linux/amd64", "linux/armv7l" and "linux/arm" become "linux/arm/v7".
func NormalizePlatform(platform string) (string, error) {
	p := strings.ToLower(platform)
	if !platformPattern.MatchString(p) {
		return "", fmt.Errorf("platform %.80q: %w: a platform looks like linux/amd64", platform, ErrInvalid)
	}
	system, arch, _ := strings.Cut(p, "/")
	switch arch {
	case "x86_64", "x86-64":
		arch = "amd64"
	case "aarch64", "arm64/v8":
		arch = "arm64"
	case "armv7l", "armhf", "arm":
		arch = "arm/v7"
	case "armv6l":
		arch = "arm/v6"
	}
	return system + "/" + arch, nil
}

// runsOn lists the platforms whose images run on platform, best first.
func runsOn(platform string) []string {
	switch platform {
	case "linux/arm/v7":
		return []string{platform, "linux/arm/v6", "linux/arm/v5"}
	case "linux/arm/v6":
		return []string{platform, "linux/arm/v5"}
	}
	return []string{platform}
}

// PlatformImages returns one pinned image for each of r.Images, in that order. The error wraps ErrPlatform when an image lacks
// the platform, and names both.
func (r *Release) PlatformImages(platform string) ([]PlatformImage, error) {
	p, err := NormalizePlatform(platform)
	if err != nil {
		return nil, err
	}
	images := make([]PlatformImage, 0, len(r.Images))
	for _, image := range r.Images {
		found, ok := image.forPlatform(p)
		if !ok {
			return nil, fmt.Errorf("release %s: %w: %s is there for %s, this computer is %s",
				r.Version, ErrPlatform, image.Ref, strings.Join(image.platforms(), ", "), p)
		}
		images = append(images, found)
	}
	return images, nil
}

func (i Image) forPlatform(platform string) (PlatformImage, bool) {
	for _, want := range runsOn(platform) {
		for _, p := range i.Platforms {
			if p.Platform == want {
				return p, true
			}
		}
	}
	return PlatformImage{}, false
}

func (i Image) platforms() []string {
	var names []string
	for _, p := range i.Platforms {
		names = append(names, p.Platform)
	}
	return names
}

// Platforms returns the platforms on which the whole release runs, sorted.
func (r *Release) Platforms() []string {
	var names []string
	for n, image := range r.Images {
		if n == 0 {
			names = image.platforms()
			continue
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			_, ok := image.forPlatform(name)
			return !ok
		})
	}
	slices.Sort(names)
	return names
}

// Blobs returns everything that a site of the platform needs to run the release: files, image configs, layers, each digest once.
// Image manifests are not among them.
func (r *Release) Blobs(platform string) ([]Blob, error) {
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, err
	}
	var blobs []Blob
	seen := map[digest.Digest]bool{}
	add := func(b Blob) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			blobs = append(blobs, b)
		}
	}
	for _, f := range r.Files {
		add(f.Blob)
	}
	for _, i := range images {
		add(i.Config)
	}
	for _, i := range images {
		for _, l := range i.Layers {
			add(l.Blob)
		}
	}
	return blobs, nil
}
