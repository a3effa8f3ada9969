package serve

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
)

// signed are the documents that may leave: those that were read while everything was verified, and those that a signed one names.
type signed struct {
	src   bundle.Source
	paths map[string]digest.Digest
}

// reading is a source whose answers are noted. What it gives is in signed only while the verification goes on that ends in an error
// unless all of it is signed.
type reading struct{ *signed }

func (r reading) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := r.src.Document(ctx, path, limit)
	if err == nil {
		r.paths[path] = digest.FromBytes(data)
	}
	return data, err
}

// Document implements Shelf.
func (s *signed) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	d, ok := s.paths[path]
	if !ok {
		return nil, fmt.Errorf("%.200q is not signed: %w", path, fs.ErrNotExist)
	}
	data, err := s.src.Document(ctx, path, limit)
	if err == nil && digest.FromBytes(data) != d {
		return nil, fmt.Errorf("%s: %s is %w, or was changed since it was verified: start dhow serve again", s.src.Name(), path, bundle.ErrDamaged)
	}
	return data, err
}
