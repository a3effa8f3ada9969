package main

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// inventory says which blobs a source holds. An archive is listed while it is read for another purpose, or else read once.
type inventory struct {
	src    bundle.Source
	stream bundle.Streamer
	names  map[digest.Digest]int64
	listed bool
}

// watch returns a source like src and the inventory of it.
func watch(src bundle.Source) (bundle.Source, *inventory) {
	have := &inventory{src: src}
	s, ok := src.(bundle.Streamer)
	if !ok {
		return src, have
	}
	have.stream = s
	return watched{s, have}, have
}

type watched struct {
	bundle.Streamer
	have *inventory
}

// Each implements bundle.Streamer.
func (w watched) Each(ctx context.Context, take func(d string, size int64, r io.Reader) error) error {
	names := map[digest.Digest]int64{}
	err := w.Streamer.Each(ctx, func(d string, size int64, r io.Reader) error {
		names[digest.Digest(d)] = size
		return take(d, size, r)
	})
	if err == nil {
		w.have.names, w.have.listed = names, true
	}
	return err
}

// releases returns those of the versions of which every byte for a platform is here.
func (i *inventory) releases(ctx context.Context, client *trust.Client, versions []string, platform string) ([]string, error) {
	whole := []string{}
	for _, version := range versions {
		release, _, err := client.Release(ctx, i.src, version)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		blobs, err := release.Blobs(platform)
		if errors.Is(err, manifest.ErrPlatform) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ok, err := i.all(ctx, blobs)
		if err != nil {
			return nil, err
		}
		if ok {
			whole = append(whole, version)
		}
	}
	return whole, nil
}

func (i *inventory) all(ctx context.Context, blobs []manifest.Blob) (bool, error) {
	for _, b := range blobs {
		if ok, err := i.has(ctx, b); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// has reports whether the source holds a blob of this name and length.
func (i *inventory) has(ctx context.Context, b manifest.Blob) (bool, error) {
	if i.stream == nil {
		r, err := i.src.Blob(ctx, b, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, bundle.ErrDamaged):
			return false, nil
		case err != nil:
			return false, err
		}
		return true, r.Close()
	}
	if !i.listed {
		if err := (watched{i.stream, i}).Each(ctx, func(string, int64, io.Reader) error { return nil }); err != nil {
			return false, err
		}
	}
	size, ok := i.names[b.Digest]
	return ok && size == b.Size, nil
}
