// Package bundletest makes small releases for tests: images FROM scratch whose layers, configs and manifests are real.
package bundletest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sort"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// Made is the time in everything that this package makes.
var Made = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Store returns an empty store.
func Store(t testing.TB) *bundle.Store {
	t.Helper()
	s, err := bundle.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// BlobOf describes data.
func BlobOf(data []byte) manifest.Blob {
	return manifest.Blob{Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// Put stores data.
func Put(t testing.TB, s *bundle.Store, data []byte) manifest.Blob {
	t.Helper()
	b := BlobOf(data)
	if err := s.Put(context.Background(), b, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return b
}

// Bytes returns n bytes that don't compress, the same ones for the same seed.
func Bytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	x := seed*2862933555777941757 + 3037000493
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x >> 32)
	}
	return data
}

// Tar returns a tar stream of files. A name that ends with a slash is a folder.
func Tar(t testing.TB, files map[string]string) []byte {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644, ModTime: Made}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Compress packs data.
func Compress(t testing.TB, kind bundle.Compression, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case bundle.Gzip:
		w = gzip.NewWriter(&buf)
	case bundle.Zstd:
		w, err = zstd.NewWriter(&buf)
	default:
		return data
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Layer stores a layer.
func Layer(t testing.TB, s *bundle.Store, kind bundle.Compression, plain []byte) manifest.Layer {
	t.Helper()
	b := Put(t, s, Compress(t, kind, plain))
	b.MediaType = "application/vnd.oci.image.layer.v1.tar"
	if kind != bundle.Plain {
		b.MediaType += "+" + string(kind)
	}
	return manifest.Layer{Blob: b, DiffID: digest.FromBytes(plain), DiffSize: int64(len(plain))}
}

// Image stores an image for a platform, and returns it.
func Image(t testing.TB, s *bundle.Store, ref, platform string, layers ...manifest.Layer) manifest.Image {
	t.Helper()
	parts := strings.Split(platform, "/")
	ids := []digest.Digest{}
	blobs := []manifest.Blob{}
	for _, l := range layers {
		ids = append(ids, l.DiffID)
		blobs = append(blobs, l.Blob)
	}
	config := Put(t, s, encode(t, map[string]any{
		"architecture": parts[1], "os": parts[0], "created": Made, "config": map[string]any{"Cmd": []string{"/none"}, "Labels": map[string]string{"ref": ref}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	}))
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	m := Put(t, s, encode(t, map[string]any{
		"schemaVersion": 2, "mediaType": bundle.OCIManifestMediaType, "config": config, "layers": blobs,
	}))
	m.MediaType = bundle.OCIManifestMediaType
	return manifest.Image{
		Ref: ref, Services: []string{"web"},
		Platforms: []manifest.PlatformImage{{Platform: platform, Manifest: m, Config: config, Layers: layers}},
	}
}

// Release makes a release of images, and of one compose file that it stores.
func Release(t testing.TB, s *bundle.Store, version string, images ...manifest.Image) *manifest.Release {
	t.Helper()
	compose := Put(t, s, []byte("# "+version+"\nservices: {web: {image: web}}\n"))
	return &manifest.Release{
		Format: 1, Fleet: "clinic", Version: version, Project: "clinic", Created: Made,
		Compose: []string{"compose.yaml"}, Files: []manifest.File{{Path: "compose.yaml", Mode: 0o644, Blob: compose}},
		Images: images, Rollback: manifest.Rollback{Data: "restore"},
	}
}

// Sample makes a store with a release of two images that share a layer. The second layers are size bytes long and don't compress.
func Sample(t testing.TB, size int) (*bundle.Store, *manifest.Release) {
	t.Helper()
	s := Store(t)
	base := Layer(t, s, bundle.Gzip, Tar(t, map[string]string{"etc/": "", "etc/os-release": strings.Repeat("NAME=clinic\n", 500)}))
	web := Layer(t, s, bundle.Gzip, Tar(t, map[string]string{"web": string(Bytes(1, size))}))
	db := Layer(t, s, bundle.Plain, Tar(t, map[string]string{"db": string(Bytes(2, size))}))
	return s, Release(t, s, "1.0.0",
		Image(t, s, "registry.example.org/clinic/web:1.0", "linux/amd64", base, web),
		Image(t, s, "clinic/db:1.0", "linux/amd64", base, db))
}

// Documents are stand-ins for signed files.
func Documents() map[string][]byte {
	return map[string][]byte{
		"metadata/1.root.json":     []byte(`{"root":1}`),
		"metadata/timestamp.json":  []byte(`{"timestamp":1}`),
		"metadata/1.snapshot.json": []byte(`{"snapshot":1}`),
		"metadata/1.targets.json":  []byte(`{"targets":1}`),
		"targets/0000000000000000000000000000000000000000000000000000000000000000.fleet.json.zst":      []byte("fleet"),
		"targets/releases/0000000000000000000000000000000000000000000000000000000000000000.1.0.0.json": []byte("release"),
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
