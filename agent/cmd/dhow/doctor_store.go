package main

import (
	"context"
	"io"
	"os"

	"dhow/bundle"
	"dhow/manifest"
)

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// variable is one of the environment.
func variable(name string) string { return os.Getenv(name) }

// store is the store of the site, nil when there is none: looking must not make one.
func (p *patient) store() *bundle.Store {
	if !exists(p.paths.Store()) {
		return nil
	}
	s, err := bundle.OpenStore(p.paths.Store())
	if err != nil {
		return nil
	}
	return s
}

func notIn(s *bundle.Store) func(manifest.Layer) bool {
	return func(l manifest.Layer) bool { return !s.HasLayer(l) }
}

// checkStore looks whether the store could rebuild the images of the running release: every file by its size, and with --deep every byte.
func checkStore(ctx context.Context, p *patient) []finding {
	s := p.stack(ctx)
	if s == nil || s.running == nil {
		return nil
	}
	store := p.store()
	if store == nil {
		return bad("doctor.store.none", "doctor.store.fetch")
	}
	r := s.running.Release
	images, err := r.PlatformImages(s.info.Platform)
	if err != nil {
		return nil // the check of the images says so
	}
	var missing, rotten int
	var first string
	var bytes int64
	look := func(b manifest.Blob) {
		err := os.ErrNotExist
		if store.Has(b) {
			err = nil
		}
		if err == nil && p.deep {
			err = readBlob(ctx, store, b)
		}
		if bytes += b.Size; err == nil || ctx.Err() != nil {
			return
		}
		if first == "" {
			first = b.Digest.Encoded()[:12]
		}
		if os.IsNotExist(err) {
			missing++
		} else {
			rotten++
		}
	}
	for _, f := range r.Files {
		look(f.Blob)
	}
	for _, image := range images {
		look(image.Config)
		for _, l := range image.Layers {
			if store.Has(l.Blob) {
				look(l.Blob)
			} else {
				look(manifest.Blob{Digest: l.DiffID, Size: l.DiffSize})
			}
		}
	}
	switch {
	case rotten > 0:
		return bad("doctor.store.rotten", "doctor.store.disk", "n", rotten, "blob", first, "release", r.Version)
	case missing > 0:
		return bad("doctor.store.missing", "doctor.store.fetch", "n", missing, "blob", first, "release", r.Version)
	case p.deep:
		return good("doctor.store.read", sized("size", bytes)...)
	}
	return good("doctor.store.good", sized("size", bytes)...)
}

func readBlob(ctx context.Context, store *bundle.Store, b manifest.Blob) error {
	r, err := store.Open(b)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		if _, err := r.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return ctx.Err()
}
