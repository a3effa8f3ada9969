package pack

import (
	"context"
	"fmt"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Annotations of the artifacts that hold ways, and of their layers.
const (
	wayFrom      = "dhow.from"         // config digest of the base; not there when the artifact holds whole layers
	wayFromAs    = "dhow.from.release" // a release that has it
	wayTo        = "dhow.to"           // config digest of the image that it leads to
	wayToAs      = "dhow.to.release"
	wayAlgorithm = "dhow.algorithm" // algorithmDelta or algorithmZstd
	wayDiffID    = "dhow.diff.id"   // of the layer that a layer of the artifact leads to
)

const (
	algorithmDelta = "dhow-delta"
	algorithmZstd  = "zstd"
)

// wayGroup is the ways to one image from one base, or as whole layers.
type wayGroup struct {
	to     manifest.PlatformImage
	base   digest.Digest // "": none
	from   string        // a release that has the base
	layers []descriptor
}

// wayGroups sorts the ways to a release by the images that they lead to and from, in the order of the release.
func wayGroups(w *manifest.Ways, images []image) (groups []*wayGroup) {
	seen := map[digest.Digest]bool{}
	for _, i := range images {
		if seen[i.Config.Digest] {
			continue
		}
		seen[i.Config.Digest] = true
		byBase := map[digest.Digest]*wayGroup{}
		add := func(l manifest.Layer, base digest.Digest, from, mediaType string, b manifest.Blob) {
			g := byBase[base]
			if g == nil {
				g = &wayGroup{to: i.PlatformImage, base: base, from: from}
				byBase[base] = g
				groups = append(groups, g)
			}
			g.layers = append(g.layers, descriptor{
				MediaType: mediaType, Digest: b.Digest, Size: b.Size, Annotations: map[string]string{wayDiffID: l.DiffID.String()},
			})
		}
		for _, l := range i.Layers {
			ways := w.Of(l.DiffID)
			if ways.Full != nil {
				add(l, "", "", bundle.FullMediaType, *ways.Full)
			}
			for _, d := range ways.Deltas {
				add(l, d.Base, d.From, bundle.DeltaMediaType, d.Blob)
			}
		}
	}
	return groups
}

func (g *wayGroup) annotations(version string) map[string]string {
	a := map[string]string{wayTo: g.to.Config.Digest.String(), wayToAs: version, wayAlgorithm: algorithmZstd}
	if g.base != "" {
		a[wayFrom], a[wayFromAs], a[wayAlgorithm] = g.base.String(), g.from, algorithmDelta
	}
	return a
}

// ways puts an artifact for each image and base, and the tag ways-VERSION, an index of them: what no tag leads to is collected as garbage.
// Sites fetch the blobs by the digests that are signed, and ask for none of it.
func (u *upload) ways(ctx context.Context, w *manifest.Ways, images []image) error {
	index := ociIndex{
		SchemaVersion: 2, MediaType: bundle.OCIIndexMediaType, Manifests: []descriptor{},
		Annotations: map[string]string{"org.opencontainers.image.version": w.Version},
	}
	for _, g := range wayGroups(w, images) {
		a := g.annotations(w.Version)
		m, err := u.artifact(ctx, bundle.WaysArtifactType, g.layers, a)
		if err != nil {
			return err
		}
		d := descriptor{
			MediaType: bundle.OCIManifestMediaType, ArtifactType: bundle.WaysArtifactType,
			Digest: digest.FromBytes(m.data), Size: int64(len(m.data)), Annotations: a,
		}
		if err := u.manifest(ctx, d.Digest.String(), m); err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, d)
	}
	if len(index.Manifests) == 0 {
		return nil
	}
	data, err := encode(index)
	if err != nil {
		return err
	}
	if len(data) > maxManifest {
		return fmt.Errorf("its index would have %d bytes, and registries take %d", len(data), maxManifest)
	}
	return u.manifest(ctx, bundle.WaysTag(w.Version), raw{data, bundle.OCIIndexMediaType})
}

// waysBlobs are the blobs of ways to layers of the images.
func waysBlobs(w *manifest.Ways, images []image) (list []manifest.Blob) {
	for _, g := range wayGroups(w, images) {
		for _, l := range g.layers {
			list = append(list, manifest.Blob{Digest: l.Digest, Size: l.Size})
		}
	}
	return list
}
