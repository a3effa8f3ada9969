//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/delta/deltatest"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// wayTo makes the delta to a layer from the layers of a base, all plain, and says how much disk applying it takes. i counts the layers.
type wayTo func(i int, base [][]byte, layer []byte) (data []byte, spool int64)

// byDelta gives a release deltas from another one, for every layer of a service's image that is new. It takes the time of making them and no
// more: dhowctl makes whole layers small as well, which takes a minute.
func (c *Centre) byDelta(t testing.TB, version, from, service string, makeOne wayTo) {
	t.Helper()
	if makeOne == nil {
		makeOne = func(_ int, base [][]byte, layer []byte) ([]byte, int64) { return deltaOnce(t, base, layer) }
	}
	store, err := bundle.OpenStore(filepath.Join(c.dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	repo, err := sign.Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	doc := c.document(t, version)
	old, image := imageOf(t, c.document(t, from), service), imageOf(t, doc, service)
	var base [][]byte
	for _, l := range old.Layers {
		base = append(base, plainLayer(t, store, l))
	}
	w := &manifest.Ways{Format: manifest.WaysFormat, Fleet: doc.Fleet, Version: version}
	for _, l := range image.Layers {
		if slices.ContainsFunc(old.Layers, func(o manifest.Layer) bool { return o.DiffID == l.DiffID }) {
			continue
		}
		data, spool := makeOne(len(w.Layers), base, plainLayer(t, store, l))
		if err := store.Put(context.Background(), bundletest.BlobOf(data), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		w.Layers = append(w.Layers, manifest.LayerWays{DiffID: l.DiffID, Deltas: []manifest.Delta{
			{Blob: bundletest.BlobOf(data), Base: old.Config.Digest, From: from, Spool: spool},
		}})
	}
	if err := repo.SaveWays(w); err != nil {
		t.Fatal(err)
	}
}

// deltas are those that were made before: fleets of several tests have the same layers.
var deltas struct {
	sync.Mutex
	made map[digest.Digest]madeDelta
}

type madeDelta struct {
	data  []byte
	spool int64
}

func deltaOnce(t testing.TB, base [][]byte, layer []byte) ([]byte, int64) {
	t.Helper()
	deltas.Lock()
	defer deltas.Unlock()
	key := digest.FromBytes(append(bytes.Join(base, nil), layer...))
	d, found := deltas.made[key]
	if !found {
		d.data, d.spool = deltatest.Make(t, base, layer)
		if deltas.made == nil {
			deltas.made = map[digest.Digest]madeDelta{}
		}
		deltas.made[key] = d
	}
	return d.data, d.spool
}

// imageOf is the image of a service in a release.
func imageOf(t testing.TB, r *manifest.Release, service string) manifest.PlatformImage {
	t.Helper()
	for _, i := range r.Images {
		if slices.Contains(i.Services, service) {
			return i.Platforms[0]
		}
	}
	t.Fatalf("release %s has no service %s", r.Version, service)
	return manifest.PlatformImage{}
}

func plainLayer(t testing.TB, store *bundle.Store, l manifest.Layer) []byte {
	t.Helper()
	r, err := store.OpenLayer(l)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if digest.FromBytes(data) != l.DiffID {
		t.Fatalf("layer %s is not what its name says", l.DiffID)
	}
	return data
}
