package bundle

import (
	"fmt"
	"os"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// File opens a blob for reading at any place. What is read is not verified: who uses it compares.
func (s *Store) File(b manifest.Blob) (*os.File, error) {
	path, err := s.path(b.Digest)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	return f, nil
}

// Clean removes what interrupted writes left and nothing else. Nothing may write to the store meanwhile.
func (s *Store) Clean() error {
	for _, dir := range []string{s.blobs(), s.partial()} {
		if err := durable.Clean(dir); err != nil {
			return fmt.Errorf("cannot clean store: %w", err)
		}
	}
	return nil
}
