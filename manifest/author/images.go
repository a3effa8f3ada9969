package author

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"dhow/bundle"
	"dhow/manifest"
)

// ImageSource is where images come from.
type ImageSource interface {
	// Name is how people know the source.
	Name() string
	// Fetch brings the images refs into the store, config, manifest and layers, and returns them pinned. No platforms means the
	// source's own choice. An error about one image is an *ImageError.
	Fetch(ctx context.Context, store *bundle.Store, refs, platforms []string) (map[string][]manifest.PlatformImage, error)
}

// ImageError is what is wrong with one image. Err wraps one of ErrNoImage, ErrNoPlatform, ErrDamaged, bundle.ErrUnreachable, or
// none of them.
type ImageError struct {
	Ref string
	Err error
}

func (e *ImageError) Error() string { return e.Ref + ": " + e.Err.Error() }

func (e *ImageError) Unwrap() error { return e.Err }

// Bounds of what a source may deliver.
const (
	maxConfig = 4 << 20 // bytes of an image's config or manifest
	maxLayer  = 1 << 40 // bytes of a layer, packed or not
)

// normalized returns the full name of an image reference, by which two spellings can be compared.
func normalized(ref string) (string, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return "", fmt.Errorf("%q is not an image reference", ref)
	}
	return r.Name(), nil
}

// imageConfig is what we read in an image's config.
type imageConfig struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant"`
	Config       struct {
		Env          []string            `json:"Env"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		Labels       map[string]string   `json:"Labels"`
		Volumes      map[string]struct{} `json:"Volumes"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Healthcheck  *struct {
			Test []string `json:"Test"`
		} `json:"Healthcheck"`
	} `json:"config"`
}

// foreignJSON bounds what others have written: configs, and the list of a file of docker save.
var foreignJSON = manifest.JSONLimits{Size: 8 << 20, Depth: 32, Values: 500_000}

func parseConfig(data []byte) (imageConfig, error) {
	var c imageConfig
	if err := manifest.CheckJSON(data, foreignJSON); err != nil {
		return c, fmt.Errorf("%w: its config is not readable: %w", ErrDamaged, err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%w: its config is not JSON: %v", ErrDamaged, err)
	}
	return c, nil
}

func (c imageConfig) platform() (string, error) {
	p := c.OS + "/" + c.Architecture
	if c.Variant != "" {
		p += "/" + c.Variant
	}
	n, err := manifest.NormalizePlatform(p)
	if err != nil {
		return "", fmt.Errorf("%w: it says that it is made for %q", ErrDamaged, p)
	}
	return n, nil
}

// missing lists the platforms that are wanted and not there.
func missing(wanted []string, have []manifest.PlatformImage) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool {
		return slices.ContainsFunc(have, func(p manifest.PlatformImage) bool { return p.Platform == w })
	})
}

func putBytes(ctx context.Context, store *bundle.Store, mediaType string, data []byte) (manifest.Blob, error) {
	b := manifest.Blob{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if store.Has(b) {
		return b, nil
	}
	return b, store.Put(ctx, b, bytes.NewReader(data))
}

// measure reads a layer of the store to its end and returns what it unpacks to.
func measure(ctx context.Context, store *bundle.Store, b manifest.Blob) (digest.Digest, int64, error) {
	r, err := store.Open(b)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	z, _, err := bundle.Unpack(r)
	if err != nil {
		return "", 0, fmt.Errorf("%w: cannot unpack layer %s: %v", ErrDamaged, b.Digest, err)
	}
	defer z.Close()
	h := digest.SHA256.Digester()
	n, err := io.Copy(h.Hash(), io.LimitReader(&ctxReader{ctx, z}, maxLayer))
	if err != nil {
		return "", 0, fmt.Errorf("%w: cannot unpack layer %s: %v", ErrDamaged, b.Digest, err)
	}
	// The packed bytes are verified too, those after the end of the packed stream included.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", 0, err
	}
	return h.Digest(), n, nil
}

// importLayer stores a layer of an archive: a compressed one as it is, a plain one as gzip, always to the same bytes.
func importLayer(ctx context.Context, store *bundle.Store, r io.Reader) (manifest.Layer, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return manifest.Layer{}, err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	kind := bundle.Detect(head[:n])
	if kind == bundle.Plain {
		return packLayer(ctx, store, r)
	}
	b, err := store.Import(ctx, r, maxLayer)
	if err != nil {
		return manifest.Layer{}, err
	}
	b.MediaType = v1.MediaTypeImageLayerGzip
	if kind == bundle.Zstd {
		b.MediaType = v1.MediaTypeImageLayerZstd
	}
	l := manifest.Layer{Blob: b}
	l.DiffID, l.DiffSize, err = measure(ctx, store, b)
	return l, err
}

// packLayer compresses a plain layer. The gzip header holds no name and no time, so that the same layer gives the same blob.
func packLayer(ctx context.Context, store *bundle.Store, r io.Reader) (manifest.Layer, error) {
	h := digest.SHA256.Digester()
	var size int64
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		z, err := gzip.NewWriterLevel(pw, gzip.DefaultCompression)
		if err == nil {
			size, err = io.Copy(io.MultiWriter(z, h.Hash()), io.LimitReader(r, maxLayer))
		}
		if err == nil {
			err = z.Close()
		}
		_ = pw.CloseWithError(err)
	}()
	b, err := store.Import(ctx, pr, maxLayer)
	_ = pr.CloseWithError(err)
	<-done
	if err != nil {
		return manifest.Layer{}, err
	}
	b.MediaType = v1.MediaTypeImageLayerGzip
	return manifest.Layer{Blob: b, DiffID: h.Digest(), DiffSize: size}, nil
}

// assemble makes the OCI manifest of an image whose source had none, and pins the image.
func assemble(ctx context.Context, store *bundle.Store, config []byte, layers []manifest.Layer) (manifest.PlatformImage, error) {
	var image manifest.PlatformImage
	c, err := parseConfig(config)
	if err != nil {
		return image, err
	}
	if image.Platform, err = c.platform(); err != nil {
		return image, err
	}
	if err := sameLayers(config, layers); err != nil {
		return image, err
	}
	image.Layers = layers
	if image.Config, err = putBytes(ctx, store, v1.MediaTypeImageConfig, config); err != nil {
		return image, err
	}
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: descriptor(image.Config),
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, descriptor(l.Blob))
	}
	data, err := json.Marshal(m)
	if err != nil {
		return image, err
	}
	image.Manifest, err = putBytes(ctx, store, v1.MediaTypeImageManifest, data)
	return image, err
}

func descriptor(b manifest.Blob) v1.Descriptor {
	return v1.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
}

// sameLayers compares the layers with the diff IDs of the config: what the config says is what an engine will insist on.
func sameLayers(config []byte, layers []manifest.Layer) error {
	ids, err := bundle.DiffIDs(config)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if len(ids) != len(layers) {
		return fmt.Errorf("%w: its config has %d layers, and %d are there", ErrDamaged, len(ids), len(layers))
	}
	for i, l := range layers {
		if l.DiffID != ids[i] {
			return fmt.Errorf("%w: layer %d unpacks to %s, and its config says %s", ErrDamaged, i+1, l.DiffID, ids[i])
		}
	}
	return nil
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
