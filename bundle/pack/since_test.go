package pack_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/bundle/split"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// TestSince leaves out what the release before has: files, configs and layers, and takes the smallest delta that begins there.
func TestSince(t *testing.T) {
	s, before := bundletest.Sample(t, 20_000)
	web, db := before.Images[0], before.Images[1]
	base := web.Platforms[0].Layers[0]
	layer := bundletest.Layer(t, s, bundle.Gzip, bundletest.Tar(t, map[string]string{"web": string(bundletest.Bytes(3, 20_000))}))
	other := bundletest.Layer(t, s, bundle.Gzip, bundletest.Tar(t, map[string]string{"more": string(bundletest.Bytes(4, 20_000))}))
	after := bundletest.Release(t, s, "1.1.0", db, bundletest.Image(t, s, "registry.example.org/clinic/web:1.1", "linux/amd64", base, layer, other))
	config := web.Platforms[0].Config.Digest
	way := func(seed uint64, size int, base digest.Digest) manifest.Delta {
		return manifest.Delta{Blob: bundletest.Put(t, s, bundletest.Bytes(seed, size)), Base: base, From: "1.0.0"}
	}
	best, larger := way(5, 700, config), way(6, 900, config)
	elsewhere, huge := way(7, 100, digest.FromString("another image")), way(8, 90_000, config)
	ways := &manifest.Ways{Format: 1, Fleet: "clinic", Version: "1.1.0", Layers: []manifest.LayerWays{
		{DiffID: layer.DiffID, Deltas: []manifest.Delta{elsewhere, larger, best}},
		{DiffID: other.DiffID, Deltas: []manifest.Delta{elsewhere, huge}},
		{DiffID: base.DiffID, Deltas: []manifest.Delta{best}},
	}}
	for _, c := range []struct {
		name string
		ways *manifest.Ways
		want []manifest.Blob
	}{
		{"with deltas", ways, []manifest.Blob{best.Blob, other.Blob}},
		{"without", nil, []manifest.Blob{layer.Blob, other.Blob}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "emr.tar")
			content := contents(s, after)
			content.Since = &pack.Since{Release: before}
			if c.ways != nil {
				content.Since.Ways = []*manifest.Ways{{Version: "0.1.0"}, c.ways}
			}
			sum, err := pack.Write(ctx, out, content)
			if err != nil {
				t.Fatal(err)
			}
			if len(sum.Warnings) != 1 || sum.Warnings[0] != "plain docker load can't be used on this bundle: it holds what is new since 1.0.0" {
				t.Errorf("warnings %q", sum.Warnings)
			}
			names, data := entries(t, out)
			if slices.Contains(names, bundle.DockerManifestPath) || !strings.Contains(string(data[bundle.IndexPath]), `"manifests":[]`) {
				t.Errorf("other programs find images that are not whole: %q, %s", names, data[bundle.IndexPath])
			}
			want := append([]manifest.Blob{after.Files[0].Blob, after.Images[1].Platforms[0].Config}, c.want...)
			var blobs []string
			for _, name := range names {
				if strings.HasPrefix(name, bundle.BlobsDir) {
					blobs = append(blobs, name)
				}
			}
			for _, b := range want {
				if !slices.Contains(blobs, bundle.BlobPath(b.Digest)) {
					t.Errorf("blob %s is missing", b.Digest)
				}
			}
			if len(blobs) != len(want) {
				t.Errorf("%d blobs, want %d", len(blobs), len(want))
			}

			src := source(t, out)
			defer src.Close()
			if hint, err := bundle.ReadHint(ctx, src); err != nil || hint.Since != "1.0.0" {
				t.Errorf("hint %+v, error %v", hint, err)
			}
			wants, err := fetch.WantsSince(after, before, c.ways, "linux/amd64")
			if err != nil {
				t.Fatal(err)
			}
			if err := fetch.Verify(ctx, src, wants, nil); err != nil {
				t.Error(err)
			}
			if err := fetch.Verify(ctx, src, wantsOf(t, after), nil); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it passes for a full one: %v", err)
			}
		})
	}
	if wants, err := fetch.WantsSince(after, before, nil, "linux/arm64"); !errors.Is(err, manifest.ErrPlatform) {
		t.Errorf("%v, error %v", wants, err)
	}
}

// TestWriteParts: a bundle in parts is the same to the last byte.
func TestWriteParts(t *testing.T) {
	s, r := bundletest.Sample(t, 900_000)
	dir := t.TempDir()
	c := contents(s, r)
	whole, err := pack.Write(ctx, filepath.Join(dir, "whole.tar.zst"), c)
	if err != nil {
		t.Fatal(err)
	}
	c.Split = &split.Options{Size: split.MinPart, Parity: 1}
	parts, err := pack.Write(ctx, filepath.Join(dir, "emr.tar.zst"), c)
	if err != nil || parts.Size != whole.Size || parts.Parts != 2 || parts.Written != whole.Written {
		t.Errorf("%+v, error %v, want %+v", parts, err, whole)
	}
	if _, err := pack.Write(ctx, filepath.Join(dir, "folder"), c); err == nil || !strings.HasSuffix(err.Error(), "a folder can't be written in parts: name a file") {
		t.Errorf("error %v", err)
	}
	before := walk(t, dir)
	rot(t, s, r.Images[1].Platforms[0].Layers[1].Blob)
	if _, err := pack.Write(ctx, filepath.Join(dir, "new.tar.zst"), c); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	if after := walk(t, dir); !slices.Equal(before, after) {
		t.Errorf("left behind: %q", after)
	}
}
