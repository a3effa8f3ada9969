package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
)

// answerWait is how long a registry may take to begin an answer.
const answerWait = 2 * time.Minute

// defaultPlatform is taken of an image that has several, when nobody chooses.
const defaultPlatform = "linux/amd64"

// Registry takes images from the registry that each reference names, with the credentials of the docker command. Plain http is
// spoken to hosts of the same building only.
type Registry struct {
	// Mirrors are asked for bytes first. What a tag means only the registry itself can say.
	Mirrors []manifest.Mirror
	// Progress, which may be nil, is called before each image is fetched.
	Progress func(ref string)
}

// Name says where images come from.
func (Registry) Name() string { return "their registries" }

// Fetch resolves each reference to digests and brings what they name into the store.
func (r Registry) Fetch(
	ctx context.Context, store *bundle.Store, refs, platforms []string,
) (map[string][]manifest.PlatformImage, error) {
	f := &registryFetch{store: store, platforms: platforms, mirrors: r.Mirrors, layers: map[digest.Digest]manifest.Layer{}}
	puller, err := remote.NewPuller(remote.WithAuthFromKeychain(pack.Keychain{}), remote.WithContext(ctx),
		remote.WithTransport(fetch.Transport(false, answerWait)))
	if err != nil {
		return nil, err
	}
	f.puller = puller
	images := map[string][]manifest.PlatformImage{}
	for _, ref := range refs {
		if r.Progress != nil {
			r.Progress(ref)
		}
		if images[ref], err = f.image(ctx, ref); err != nil {
			return nil, &ImageError{Ref: ref, Err: err}
		}
	}
	return images, nil
}

type registryFetch struct {
	store     *bundle.Store
	puller    *remote.Puller
	platforms []string
	mirrors   []manifest.Mirror
	layers    map[digest.Digest]manifest.Layer // measured already
}

func (f *registryFetch) image(ctx context.Context, ref string) ([]manifest.PlatformImage, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("%q is not an image reference", ref)
	}
	if images, err := f.mirrored(ctx, r); len(images) > 0 || err != nil {
		return images, err
	}
	return f.from(ctx, r)
}

// mirrored takes an image from a mirror, when there is one that has it. The registry says which image it is: a tag of a mirror may be old, or
// somebody else's, and what is pinned here is signed. An error is none of the mirror.
func (f *registryFetch) mirrored(ctx context.Context, ref name.Reference) ([]manifest.PlatformImage, error) {
	for _, m := range f.mirrors {
		if m.Of != manifest.RegistryHost(ref.Context().RegistryStr()) {
			continue
		}
		d, pinned := ref.(name.Digest)
		if !pinned {
			head, err := f.puller.Head(ctx, ref)
			if err != nil {
				return nil, f.registryError(ref, err)
			}
			d = ref.Context().Digest(head.Digest.String())
		}
		var opts []name.Option
		if m.Plain {
			opts = append(opts, name.Insecure)
		}
		repo, err := name.NewRepository(path.Join(m.Host, m.Prefix, ref.Context().RepositoryStr()), opts...)
		if err != nil {
			return nil, err
		}
		images, err := f.from(ctx, repo.Digest(d.DigestStr()))
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrNoPlatform) || errors.Is(err, syscall.ENOSPC) {
			return images, err
		}
	}
	return nil, nil
}

// from takes an image from the registry of a reference.
func (f *registryFetch) from(ctx context.Context, r name.Reference) ([]manifest.PlatformImage, error) {
	found, err := f.puller.Get(ctx, r)
	if err != nil {
		return nil, f.registryError(r, err)
	}
	var images []manifest.PlatformImage
	if found.MediaType.IsIndex() {
		images, err = f.index(ctx, r, found)
	} else {
		var image ggcr.Image
		if image, err = found.Image(); err == nil {
			var one manifest.PlatformImage
			if one, err = f.fetch(ctx, image); err == nil {
				images = []manifest.PlatformImage{one}
			}
		}
	}
	if err != nil {
		return nil, f.registryError(r, err)
	}
	if gone := missing(f.platforms, images); len(gone) > 0 {
		var have []string
		for _, i := range images {
			have = append(have, i.Platform)
		}
		return nil, fmt.Errorf("%w: %s (the registry has %s)", ErrNoPlatform, strings.Join(gone, ", "), orNone(have))
	}
	return only(f.platforms, images), nil
}

// only leaves out the platforms that nobody asked for.
func only(platforms []string, images []manifest.PlatformImage) []manifest.PlatformImage {
	if len(platforms) == 0 {
		return images
	}
	var out []manifest.PlatformImage
	for _, p := range platforms {
		for _, i := range images {
			if i.Platform == p {
				out = append(out, i)
			}
		}
	}
	return out
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

func (f *registryFetch) index(ctx context.Context, ref name.Reference, found *remote.Descriptor) ([]manifest.PlatformImage, error) {
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	wanted := f.platforms
	if len(wanted) == 0 {
		wanted = []string{defaultPlatform}
	}
	var images []manifest.PlatformImage
	var have []string
	for _, entry := range list.Manifests {
		if entry.Platform == nil || !entry.MediaType.IsImage() {
			continue
		}
		p := entry.Platform.OS + "/" + entry.Platform.Architecture
		if entry.Platform.Variant != "" {
			p += "/" + entry.Platform.Variant
		}
		platform, err := manifest.NormalizePlatform(p)
		if err != nil || entry.Platform.OS == "unknown" { // an attestation, not an image
			continue
		}
		have = append(have, platform)
		if len(missing([]string{platform}, images)) == 0 || len(missing(wanted, []manifest.PlatformImage{{Platform: platform}})) == len(wanted) {
			continue
		}
		image, err := f.puller.Get(ctx, ref.Context().Digest(entry.Digest.String()))
		if err != nil {
			return nil, err
		}
		img, err := image.Image()
		if err != nil {
			return nil, err
		}
		pinned, err := f.fetch(ctx, img)
		if err != nil {
			return nil, err
		}
		// Some builders leave the variant out of the config and state it in the index only.
		pinned.Platform = platform
		images = append(images, pinned)
	}
	if gone := missing(wanted, images); len(gone) > 0 {
		return nil, fmt.Errorf("%w: %s (the registry has %s)", ErrNoPlatform, strings.Join(gone, ", "), orNone(have))
	}
	return images, nil
}

// fetch brings one image into the store and compares its layers with its config.
func (f *registryFetch) fetch(ctx context.Context, image ggcr.Image) (manifest.PlatformImage, error) {
	var pinned manifest.PlatformImage
	raw, err := image.RawManifest()
	if err != nil {
		return pinned, err
	}
	m, err := image.Manifest()
	if err != nil {
		return pinned, err
	}
	if len(raw) > maxConfig || m.Config.Size > maxConfig {
		return pinned, fmt.Errorf("%w: its manifest or config is larger than %d MiB", ErrDamaged, maxConfig>>20)
	}
	if pinned.Manifest, err = putBytes(ctx, f.store, string(m.MediaType), raw); err != nil {
		return pinned, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return pinned, err
	}
	c, err := parseConfig(config)
	if err != nil {
		return pinned, err
	}
	if pinned.Platform, err = c.platform(); err != nil {
		return pinned, err
	}
	if pinned.Config, err = putBytes(ctx, f.store, string(m.Config.MediaType), config); err != nil {
		return pinned, err
	}
	for _, d := range m.Layers {
		l, err := f.layer(ctx, image, d)
		if err != nil {
			return pinned, err
		}
		pinned.Layers = append(pinned.Layers, l)
	}
	return pinned, sameLayers(config, pinned.Layers)
}

func (f *registryFetch) layer(ctx context.Context, image ggcr.Image, d ggcr.Descriptor) (manifest.Layer, error) {
	b := manifest.Blob{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
	if l, ok := f.layers[b.Digest]; ok && l.Size == b.Size {
		return l, nil
	}
	if !f.store.Has(b) {
		layer, err := image.LayerByDigest(d.Digest)
		if err != nil {
			return manifest.Layer{}, err
		}
		r, err := layer.Compressed()
		if err != nil {
			return manifest.Layer{}, err
		}
		err = f.store.Put(ctx, b, r)
		_ = r.Close()
		if err != nil {
			return manifest.Layer{}, err
		}
	}
	id, size, err := measure(ctx, f.store, b)
	if err != nil {
		return manifest.Layer{}, err
	}
	f.layers[b.Digest] = manifest.Layer{Blob: b, DiffID: id, DiffSize: size}
	return f.layers[b.Digest], nil
}

// registryError says which side failed, in words.
func (*registryFetch) registryError(ref name.Reference, err error) error {
	host := ref.Context().RegistryStr()
	var answer *transport.Error
	switch {
	case errors.Is(err, ErrNoPlatform), errors.Is(err, ErrDamaged), errors.Is(err, bundle.ErrDamaged),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w in the registry %s", ErrNoImage, host)
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("the registry %s does not let us read it: docker login %s may help", host, host)
	case errors.As(err, &answer):
		return fmt.Errorf("the registry %s answers %d: %w", host, answer.StatusCode, bundle.ErrUnreachable)
	case errors.Is(err, remote.ErrSchema1):
		return fmt.Errorf("the registry %s has it in a format of 2015 that is no longer read; push it again", host)
	}
	var dial *net.OpError
	var request *url.Error
	switch {
	case errors.Is(err, bundle.ErrUnreachable) && errors.As(err, &request): // in our words already
		return fmt.Errorf("the registry %s: %w", host, request.Err)
	case errors.As(err, &dial):
		return fmt.Errorf("the registry %s: %w: %v", host, bundle.ErrUnreachable, dial)
	case errors.As(err, &request), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the registry %s: %w: %v", host, bundle.ErrUnreachable, err)
	}
	return err
}
