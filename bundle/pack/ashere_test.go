package pack_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
)

// TestAsHere writes what a site has: no image manifests, and a layer unpacked.
func TestAsHere(t *testing.T) {
	s, r := bundletest.Sample(t, 20_000)
	web := r.Images[0].Platforms[0].Layers[1]
	layer, err := s.OpenLayer(web)
	if err != nil {
		t.Fatal(err)
	}
	plain := manifest.Blob{Digest: web.DiffID, Size: web.DiffSize}
	if err := s.Put(ctx, plain, layer); err != nil {
		t.Fatal(err)
	}
	_ = layer.Close()
	for _, b := range []manifest.Blob{web.Blob, r.Images[0].Platforms[0].Manifest, r.Images[1].Platforms[0].Manifest} {
		if err := s.Remove(b.Digest); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "emr.tar")
	c := contents(s, r)
	if _, err := pack.Write(ctx, out, c); err == nil || !strings.Contains(err.Error(), "is not in the store") {
		t.Errorf("without AsHere: %v", err)
	}
	c.AsHere = true
	if _, err := pack.Write(ctx, out, c); err != nil {
		t.Fatal(err)
	}
	_, data := entries(t, out)
	var list []struct{ Layers []string }
	if err := json.Unmarshal(data[bundle.DockerManifestPath], &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Layers[1] != bundle.BlobPath(web.DiffID) || data[list[0].Layers[1]] == nil {
		t.Errorf("docker load finds %v", list)
	}
	if index := string(data[bundle.IndexPath]); !strings.Contains(index, `"manifests":[]`) {
		t.Errorf("the index names images that nobody could read: %s", index)
	}
	src, err := fetch.Open(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	wants, err := fetch.Wants(nil, r, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	if err := fetch.Verify(ctx, src, wants, nil); err != nil {
		t.Error(err)
	}
}
