package fetch_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"

	"github.com/opencontainers/go-digest"
)

// saves are files as docker save writes them, of the first image of p.
func saves(t *testing.T, p published) map[string][]item {
	t.Helper()
	image := p.release.Images[0].Platforms[0]
	config := string(contentOf(t, p.store, image.Config))
	plain := func(n int) string {
		r, err := p.store.OpenLayer(image.Layers[n])
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	id := func(n int) string { return digest.FromString(fmt.Sprint(n)).Encoded() }
	list := `[{"Config":"` + image.Config.Digest.Encoded() + `.json","RepoTags":["a:1"],"Layers":["x"]}]`
	return map[string][]item{
		"old engine": {
			{name: id(0) + "/", kind: tar.TypeDir},
			{name: id(0) + "/VERSION", data: "1.0"},
			{name: id(0) + "/json", data: "{}"},
			{name: id(0) + "/layer.tar", data: plain(0)},
			{name: id(1) + "/VERSION", data: "1.0"},
			{name: id(1) + "/layer.tar", data: plain(1)},
			{name: id(2) + "/layer.tar", kind: tar.TypeSymlink, link: "../" + id(0) + "/layer.tar"},
			{name: image.Config.Digest.Encoded() + ".json", data: config},
			{name: "manifest.json", data: list},
			{name: "repositories", data: "{}"},
		},
		"new engine": {
			{name: "blobs/", kind: tar.TypeDir},
			{name: "blobs/sha256/", kind: tar.TypeDir},
			{name: bundle.BlobPath(image.Config.Digest), data: config},
			{name: bundle.BlobPath(image.Layers[0].DiffID), data: plain(0)},
			{name: bundle.BlobPath(image.Layers[1].DiffID), data: plain(1)},
			{name: "index.json", data: "{}"},
			{name: "manifest.json", data: list},
			{name: "oci-layout", data: "{}"},
			{name: "repositories", data: "{}"},
		},
		"with the registry's layers": {
			{name: "index.json", data: "{}"},
			{name: "manifest.json", data: list},
			{name: "oci-layout", data: "{}"},
			{name: bundle.BlobPath(image.Config.Digest), data: config},
			{name: bundle.BlobPath(image.Layers[0].Digest), data: string(contentOf(t, p.store, image.Layers[0].Blob))},
			{name: bundle.BlobPath(image.Layers[1].Digest), data: string(contentOf(t, p.store, image.Layers[1].Blob))},
		},
		"names that lie": {
			{name: "manifest.json", data: list},
			{name: bundle.BlobPath(image.Layers[0].DiffID), data: plain(1)},
			{name: bundle.BlobPath(image.Layers[1].DiffID), data: plain(0)},
			{name: "b.tar", data: config},
			{name: "unwanted", data: strings.Repeat("x", 5000)},
		},
	}
}

func TestDockerSave(t *testing.T) {
	p := publish(t, 50_000)
	image := p.release.Images[0].Platforms[0]
	var wants []fetch.Want
	for _, w := range p.wants {
		switch w.Forms[len(w.Forms)-1].Digest {
		case image.Config.Digest, image.Layers[0].DiffID, image.Layers[1].DiffID:
			wants = append(wants, w)
		}
	}
	for name, list := range saves(t, p) {
		for _, kind := range []bundle.Compression{bundle.Plain, bundle.Gzip} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				src := open(t, writeArchive(t, kind, list))
				if _, err := src.Document(ctx, bundle.TimestampPath, 1000); !errors.Is(err, bundle.ErrNoMetadata) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("error %v", err)
				}
				site := bundletest.Store(t)
				var done int64
				opts := quick
				opts.Progress = func(d, _ int64) { done = d }
				if _, err := fetch.Blobs(ctx, site, []bundle.Source{src}, wants, opts); err != nil {
					t.Fatal(err)
				}
				all(t, site, wants)
				if err := site.VerifyImage(ctx, image); err != nil {
					t.Error(err)
				}
				if done != fetch.Size(wants) {
					t.Errorf("progress ended at %d of %d", done, fetch.Size(wants))
				}
				entries, err := os.ReadDir(filepath.Join(site.Dir(), "blobs", "sha256"))
				if err != nil || len(entries) != len(wants) {
					t.Errorf("%d blobs for %d wants, error %v", len(entries), len(wants), err)
				}
				if err := fetch.Verify(ctx, src, wants, nil); err != nil {
					t.Error(err)
				}
				_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the other image: error %v", err)
				}
			})
		}
	}
	evil := append(saves(t, p)["old engine"], item{name: "../evil", data: "x"})
	site := bundletest.Store(t)
	_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, writeArchive(t, bundle.Gzip, evil))}, wants, quick)
	if !errors.Is(err, bundle.ErrUnsafePath) {
		t.Errorf("error %v", err)
	}
	empty(t, site)
	if _, err := fetch.Open(ctx, writeArchive(t, bundle.Gzip, []item{{name: "letter.txt", data: "x"}})); !errors.Is(err, bundle.ErrNoMetadata) {
		t.Errorf("error %v", err)
	}
}
