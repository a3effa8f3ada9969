package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The archive that is sent is an OCI layout with a docker-archive manifest.json that points at the same blobs, so
// that classic and containerd stores both read it. Layers are plain tars named by their diff ID.

// manifest is the OCI manifest of the image as we send it: its digest is the image's ID in a containerd store.
func (img Image) manifest() []byte {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageConfig, Digest: img.ConfigDigest, Size: int64(len(img.Config)),
		},
		Layers: []ocispec.Descriptor{},
	}
	for _, l := range img.Layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: l.DiffID, Size: l.DiffSize})
	}
	return marshal(m)
}

func (img Image) manifestDigest() digest.Digest { return digest.FromBytes(img.manifest()) }

func blobPath(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// writeArchive writes the image's archive without its first skip layers.
func writeArchive(ctx context.Context, w io.Writer, img Image, skip int, progress func(done, total int64)) error {
	manifest := img.manifest()
	paths := make([]string, len(img.Layers))
	for i, l := range img.Layers {
		paths[i] = blobPath(l.DiffID)
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
			Annotations: map[string]string{"io.containerd.image.name": img.Tag},
		}},
	}
	list := []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{blobPath(img.ConfigDigest), []string{img.Tag}, paths}}

	tw := tar.NewWriter(w)
	for _, f := range []struct {
		path string
		data []byte
	}{
		{ocispec.ImageLayoutFile, marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})},
		{ocispec.ImageIndexFile, marshal(index)},
		{"manifest.json", marshal(list)},
		{blobPath(digest.FromBytes(manifest)), manifest},
		{blobPath(img.ConfigDigest), img.Config},
	} {
		if err := tw.WriteHeader(&tar.Header{Name: f.path, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := tw.Write(f.data); err != nil {
			return err
		}
	}
	send := unique(img.Layers[skip:])
	m := meter{progress: progress}
	for _, l := range send {
		m.total += l.DiffSize
	}
	m.add(0)
	for _, l := range send {
		if err := writeLayer(ctx, tw, l, &m); err != nil {
			return err
		}
	}
	return tw.Close()
}

// unique leaves out layers that come again, such as empty ones: the archive holds each blob once.
func unique(layers []Layer) []Layer {
	seen, out := map[digest.Digest]bool{}, []Layer(nil)
	for _, l := range layers {
		if !seen[l.DiffID] {
			seen[l.DiffID] = true
			out = append(out, l)
		}
	}
	return out
}

// writeLayer copies one layer and insists on its declared length, and on the reader's own word at its end.
func writeLayer(ctx context.Context, tw *tar.Writer, l Layer, m *meter) error {
	if err := tw.WriteHeader(&tar.Header{Name: blobPath(l.DiffID), Mode: 0o644, Size: l.DiffSize}); err != nil {
		return err
	}
	r, err := l.Open()
	if err != nil {
		return fmt.Errorf("cannot open layer %s: %w", short(l.DiffID), err)
	}
	defer r.Close()
	buf := make([]byte, 256<<10)
	for left := l.DiffSize; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, rerr := r.Read(buf)
		if left -= int64(n); left < 0 {
			return fmt.Errorf("layer %s is larger than its declared %d bytes", short(l.DiffID), l.DiffSize)
		}
		if _, err := tw.Write(buf[:n]); err != nil {
			return err
		}
		m.add(int64(n))
		switch {
		case errors.Is(rerr, io.EOF) && left > 0:
			return fmt.Errorf("layer %s is %d bytes shorter than declared", short(l.DiffID), left)
		case errors.Is(rerr, io.EOF):
			return nil
		case rerr != nil:
			return fmt.Errorf("cannot read layer %s: %w", short(l.DiffID), rerr)
		}
	}
}

// meter counts the bytes of layers.
type meter struct {
	done, total int64
	progress    func(done, total int64)
}

func (m *meter) add(n int64) {
	m.done += n
	if m.progress != nil {
		m.progress(m.done, m.total)
	}
}

// marshal encodes values of our own types, which cannot fail.
func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return data
}

// refusalOf keeps the engine's words, and says when it means a full disk.
func refusalOf(message string) error {
	if strings.Contains(message, "no space left on device") {
		return fmt.Errorf("%w (%w)", &refusal{message}, syscall.ENOSPC)
	}
	return &refusal{message}
}
