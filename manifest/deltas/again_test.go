package deltas_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/deltas"

	"github.com/opencontainers/go-digest"
)

// What another process makes in the same store is left to it.
func TestTwoMakeAtOnce(t *testing.T) {
	s := newStack(t)
	want, _ := newStack(t).make(t, nil, s.releases[1])
	var other error
	w, warnings, err := deltas.Make(ctx, s.store, s.releases[2], s.releases[1:2], nil, func(step deltas.Step) {
		if step.Stage != "comparing" || step.Done > 0 {
			return
		}
		mine := temporary(t, s.store)
		if len(mine) == 0 {
			t.Error("nothing temporary is there meanwhile")
		}
		if _, _, err := deltas.Make(ctx, s.store, s.releases[1], s.releases[:1], nil, nil); err != nil {
			other = err
		}
		if left := temporary(t, s.store); !reflect.DeepEqual(left, mine) {
			t.Errorf("left %v of %v", left, mine)
		}
	})
	if err != nil || other != nil || len(warnings) > 0 || !reflect.DeepEqual(w, want) {
		t.Errorf("%+v, %v, %v, the other %v", w, warnings, err, other)
	}
	s.clean(t)
}

func temporary(t *testing.T, store *bundle.Store) (names []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(store.Dir(), "ways", durable.TempPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A delta that can't be made of certain layers is tried once; what a disk did wrong is tried again.
func TestMakeInVain(t *testing.T) {
	store := bundletest.Store(t)
	layer := func(name string, n int) manifest.Layer {
		return bundletest.Layer(t, store, bundle.Gzip, bundletest.Tar(t, map[string]string{name: noise(7, n)}))
	}
	var many []manifest.Layer
	for n := range 257 {
		many = append(many, layer(fmt.Sprint(n), 10))
	}
	old := bundletest.Release(t, store, "1.0.0", bundletest.Image(t, store, "clinic/web:1", "linux/amd64", many...))
	now := bundletest.Release(t, store, "1.1.0", bundletest.Image(t, store, "clinic/web:2", "linux/amd64", layer("app", 20_000)))
	try := func() (tried bool, warnings []string) {
		t.Helper()
		_, warnings, err := deltas.Make(ctx, store, now, []*manifest.Release{old}, nil, func(step deltas.Step) {
			tried = tried || step.Stage == "unpacking"
		})
		if err != nil {
			t.Fatal(err)
		}
		return tried, warnings
	}
	want := []string{"no delta from 1.0.0 for web layer 1: cannot make delta: the base is larger than allowed: 257 layers, at most 256"}
	if tried, warnings := try(); !tried || !reflect.DeepEqual(warnings, want) {
		t.Errorf("the first time: %v, %q", tried, warnings)
	}
	if tried, warnings := try(); tried || len(warnings) > 0 {
		t.Errorf("once more: %v, %q", tried, warnings)
	}
	// A layer that can't be read says nothing about deltas.
	if err := os.RemoveAll(filepath.Join(store.Dir(), "ways")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(store.Dir(), "blobs", "sha256", many[0].Digest.Encoded())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{append([]byte{good[0] ^ 1}, good[1:]...), good} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if tried, warnings := try(); !tried || len(warnings) != 1 || strings.Contains(warnings[0], "257 layers") != (data[0] == good[0]) {
			t.Errorf("with a layer that may be damaged: %v, %q", tried, warnings)
		}
	}
}

// However many releases there were, at most 16 deltas lead to a layer: from those that are asked for, then from the newest.
func TestMakeStaysBounded(t *testing.T) {
	s := newStack(t)
	app := s.releases[2].Images[0].Platforms[0].Layers[1]
	known := &manifest.Ways{Format: manifest.WaysFormat, Fleet: s.releases[2].Fleet, Version: "1.1.0", Layers: []manifest.LayerWays{{DiffID: app.DiffID}}}
	for n := range 64 {
		known.Layers[0].Deltas = append(known.Layers[0].Deltas, manifest.Delta{
			Blob: manifest.Blob{Digest: digest.FromString(fmt.Sprint("delta", n)), Size: 10}, Base: digest.FromString(fmt.Sprint(n)),
			From: fmt.Sprintf("0.99.%d", n),
		})
	}
	if _, err := known.Encode(); err != nil {
		t.Fatal(err)
	}
	w, _ := s.make(t, known, s.releases[0], s.releases[1])
	var from []string
	for _, d := range w.Of(app.DiffID).Deltas {
		from = append(from, d.From)
	}
	want := "1.0.0 0.9.0 0.99.63 0.99.62 0.99.61 0.99.60 0.99.59 0.99.58 0.99.57 0.99.56 0.99.55 0.99.54 0.99.53 0.99.52 0.99.51 0.99.50"
	if got := strings.Join(from, " "); got != want {
		t.Errorf("deltas from %s\nwant %s", got, want)
	}
}
