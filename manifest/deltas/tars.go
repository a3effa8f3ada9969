package deltas

import (
	"context"
	"errors"
	"io"
	"math"
	"os"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/delta"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// errAbsent: the bytes of an image are not in the store.
var errAbsent = errors.New("it is not in the store")

// tars are layers as plain tars, open for as long as they are needed: several deltas have one base.
type tars struct {
	ctx   context.Context
	store *bundle.Store
	dir   string
	files map[digest.Digest]*os.File
	temps map[digest.Digest]bool // to be removed
}

func newTars(ctx context.Context, store *bundle.Store, dir string) *tars {
	return &tars{ctx: ctx, store: store, dir: dir, files: map[digest.Digest]*os.File{}, temps: map[digest.Digest]bool{}}
}

// open returns layers, and closes those of before that are not among them.
func (t *tars) open(layers []manifest.Layer) ([]delta.Layer, error) {
	wanted := map[digest.Digest]bool{}
	for _, l := range layers {
		wanted[l.DiffID] = true
	}
	for d := range t.files {
		if !wanted[d] {
			t.drop(d)
		}
	}
	out := make([]delta.Layer, len(layers))
	for i, l := range layers {
		if t.files[l.DiffID] == nil {
			if err := t.unpack(l); err != nil {
				t.drop(l.DiffID)
				return nil, err
			}
		}
		out[i] = delta.Layer{Identity: delta.Identity{DiffID: l.DiffID, Size: l.DiffSize}, Tar: t.files[l.DiffID]}
	}
	return out, nil
}

func (t *tars) unpack(l manifest.Layer) error {
	plain := manifest.Blob{Digest: l.DiffID, Size: l.DiffSize}
	if t.store.Has(plain) {
		f, err := t.store.File(plain) // compared while the delta is tried
		if err == nil {
			t.files[l.DiffID] = f
		}
		return err
	}
	r, err := t.store.OpenLayer(l)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.CreateTemp(t.dir, durable.TempPrefix+"layer-*")
	if err != nil {
		return err
	}
	t.files[l.DiffID], t.temps[l.DiffID] = f, true
	_, err = io.Copy(f, bundle.WithContext(t.ctx, r))
	return err
}

// sound reports whether the layers that are read where the store has them, and were not checked by unpacking them, are what they should be.
func (t *tars) sound() bool {
	for d, f := range t.files {
		if t.temps[d] {
			continue
		}
		h := digest.SHA256.Digester()
		_, err := io.Copy(h.Hash(), bundle.WithContext(t.ctx, io.NewSectionReader(f, 0, math.MaxInt64)))
		if err != nil || h.Digest() != d {
			return false
		}
	}
	return true
}

func (t *tars) drop(d digest.Digest) {
	f := t.files[d]
	if f == nil {
		return
	}
	_ = f.Close()
	if t.temps[d] {
		_ = os.Remove(f.Name())
	}
	delete(t.files, d)
	delete(t.temps, d)
}

func (t *tars) close() {
	for d := range t.files {
		t.drop(d)
	}
}
