package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
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

// Bytes is how much content the store holds, parts included.
func (s *Store) Bytes() (sum int64, err error) {
	for _, dir := range []string{s.blobs(), s.partial()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return 0, fmt.Errorf("cannot read store: %w", err)
		}
		for _, e := range entries {
			if !IsDigest(digest.NewDigestFromEncoded(digest.SHA256, e.Name())) {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has just gone
			}
			if err != nil {
				return 0, fmt.Errorf("cannot read store: %w", err)
			}
			sum += info.Size()
		}
	}
	return sum, nil
}

// IsFileName reports whether a file is called like a bundle.
func IsFileName(file string) bool {
	name := strings.ToLower(file)
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, end := range []string{".tgz", ".tar", ".tar.gz", ".tar.zst"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
