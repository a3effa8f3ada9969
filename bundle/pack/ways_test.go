package pack_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// led returns a store, a release of two images that share a layer, and ways to it: to the shared layer from two releases and as a whole, to
// the top of the first image from one.
func led(t *testing.T) (*bundle.Store, *manifest.Release, *manifest.Ways) {
	t.Helper()
	s := bundletest.Store(t)
	base := bundletest.Layer(t, s, bundle.Gzip, bundletest.Tar(t, map[string]string{"etc/base": "base"}))
	top := bundletest.Layer(t, s, bundle.Gzip, bundletest.Tar(t, map[string]string{"top": "top"}))
	r := bundletest.Release(t, s, "1.1.0+b2",
		bundletest.Image(t, s, "clinic/web:1", "linux/amd64", base, top), bundletest.Image(t, s, "clinic/db:1", "linux/amd64", base))
	delta := func(from, what string) manifest.Delta {
		return manifest.Delta{Blob: bundletest.Put(t, s, []byte(what)), Base: digest.FromString(from), From: from}
	}
	full := bundletest.Put(t, s, []byte("the base as zstd"))
	return s, r, &manifest.Ways{Format: 1, Fleet: r.Fleet, Version: r.Version, Layers: []manifest.LayerWays{
		{DiffID: base.DiffID, Full: &full, Deltas: []manifest.Delta{delta("1.0.0", "one"), delta("0.9.0", "two")}},
		{DiffID: top.DiffID, Deltas: []manifest.Delta{delta("1.0.0", "three")}},
	}}
}

func TestWaysInAFolder(t *testing.T) {
	s, r, w := led(t)
	c := contents(s, r)
	c.Ways = []*manifest.Ways{w}
	dir := filepath.Join(t.TempDir(), "www")
	for range 2 { // the second time it is there
		if err := pack.PublishDir(ctx, dir, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range w.Blobs() {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(b.Digest)))); err != nil || info.Size() != b.Size {
			t.Errorf("%s: %v, %v", b.Digest, info, err)
		}
	}
	// Ways whose bytes are not here are no ways.
	w.Layers[1].Deltas[0].Digest = digest.FromString("elsewhere")
	if err := pack.PublishDir(ctx, dir, c); err == nil || !strings.Contains(err.Error(), "is not in the store") {
		t.Errorf("without a delta: %v", err)
	}
}

// manifestAt reads what is behind a tag or digest.
func manifestAt(t *testing.T, spec, reference, accept string, to any) []byte {
	t.Helper()
	url := "http://" + strings.Replace(strings.TrimPrefix(spec, "oci://"), "/", "/v2/", 1) + "/manifests/" + reference
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s, %v", reference, resp.Status, data, err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", reference, err)
	}
	return data
}

func TestWaysInARegistry(t *testing.T) {
	reg := newRegistry(t)
	s, r, w := led(t)
	c := contents(s, r)
	c.Ways = []*manifest.Ways{w}
	if err := pack.PublishOCI(ctx, reg.spec(), c, nil); err != nil {
		t.Fatal(err)
	}
	type annotated struct {
		Digest       digest.Digest
		ArtifactType string
		Annotations  map[string]string
	}
	var index struct{ Manifests []annotated }
	manifestAt(t, reg.spec(), "ways-1.1.0_b2", bundle.OCIIndexMediaType, &index)
	release := map[string]string{r.Images[0].Platforms[0].Config.Digest.String(): "web", r.Images[1].Platforms[0].Config.Digest.String(): "db"}
	var got []string
	for _, m := range index.Manifests {
		var a struct {
			ArtifactType string
			Layers       []annotated
			Annotations  map[string]string
		}
		manifestAt(t, reg.spec(), m.Digest.String(), bundle.OCIManifestMediaType, &a)
		if a.ArtifactType != bundle.WaysArtifactType || m.ArtifactType != a.ArtifactType || a.Annotations["dhow.to"] != m.Annotations["dhow.to"] {
			t.Errorf("artifact %+v, in the index %+v", a, m)
		}
		var blobs []string
		for _, l := range a.Layers {
			data, err := s.Read(manifest.Blob{Digest: l.Digest, Size: sizeIn(w, l.Digest)}, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(w.Layers, func(x manifest.LayerWays) bool { return x.DiffID.String() == l.Annotations["dhow.diff.id"] }) {
				t.Errorf("%s leads to %v", data, l.Annotations)
			}
			blobs = append(blobs, string(data))
		}
		an := a.Annotations
		if an["dhow.from"] != "" && an["dhow.from"] != digest.FromString(an["dhow.from.release"]).String() {
			t.Errorf("from %v", an)
		}
		got = append(got, strings.Join([]string{
			release[an["dhow.to"]], an["dhow.to.release"], an["dhow.algorithm"], an["dhow.from.release"], strings.Join(blobs, ","),
		}, " "))
	}
	want := []string{
		"web 1.1.0+b2 zstd  the base as zstd", "web 1.1.0+b2 dhow-delta 1.0.0 one,three", "web 1.1.0+b2 dhow-delta 0.9.0 two",
		"db 1.1.0+b2 zstd  the base as zstd", "db 1.1.0+b2 dhow-delta 1.0.0 one", "db 1.1.0+b2 dhow-delta 0.9.0 two",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// All of it can be had by what is signed, and nothing of it is sent twice.
	site := bundletest.Store(t)
	var wants []fetch.Want
	for _, b := range w.Blobs() {
		wants = append(wants, fetch.Want{Forms: []manifest.Blob{b}})
	}
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{source(t, reg.spec())}, wants, quick); err != nil {
		t.Error(err)
	}
	reg.forget()
	if err := pack.PublishOCI(ctx, reg.spec(), c, nil); err != nil {
		t.Fatal(err)
	}
	if n := reg.count("PUT", "/blobs/"); n != 0 {
		t.Errorf("%d blobs were sent again", n)
	}
}

func sizeIn(w *manifest.Ways, d digest.Digest) int64 {
	for _, b := range w.Blobs() {
		if b.Digest == d {
			return b.Size
		}
	}
	return 0
}
