package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"dhow/agent/fault"
	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Store is a folder of content named by its SHA-256 digest. Several goroutines may read and write it; one process owns it.
type Store struct {
	dir     string
	mu      sync.Mutex
	checked map[digest.Digest]checked // of this process only
	beside  sync.Mutex                // one layer at a time is unpacked while it is stored
}

// OpenStore opens the store in dir, and makes it when it is not there.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: dir, checked: map[digest.Digest]checked{}}
	for _, d := range []string{s.blobs(), s.partial()} {
		if err := durable.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("cannot open store: %w", err)
		}
	}
	return s, nil
}

// Dir is the folder of the store.
func (s *Store) Dir() string { return s.dir }

func (s *Store) blobs() string   { return filepath.Join(s.dir, "blobs", "sha256") }
func (s *Store) partial() string { return filepath.Join(s.dir, "partial") }

func (s *Store) path(d digest.Digest) (string, error) {
	if !IsDigest(d) {
		return "", fmt.Errorf("%q is not a SHA-256 digest", d)
	}
	return filepath.Join(s.blobs(), d.Encoded()), nil
}

// Has reports whether the store holds b, by name and size. The content is verified whenever it is read.
func (s *Store) Has(b manifest.Blob) bool {
	path, err := s.path(b.Digest)
	if err != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == b.Size
}

// HasLayer reports whether the store holds l as it is carried, or unpacked under its diff ID.
func (s *Store) HasLayer(l manifest.Layer) bool {
	return s.Has(l.Blob) || s.Has(plain(l))
}

// plain is the unpacked form of a layer as a blob.
func plain(l manifest.Layer) manifest.Blob {
	return manifest.Blob{Digest: l.DiffID, Size: l.DiffSize}
}

// Open opens b. The reader returns ErrDamaged in place of EOF when the content is not b's.
func (s *Store) Open(b manifest.Blob) (io.ReadCloser, error) {
	path, err := s.path(b.Digest)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	if err := fault.Point("store/read"); err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	return readCloser{NewVerifier(f, b, "blob "+b.Digest.String()), f.Close}, nil
}

// Read returns the whole content of b, which must not be longer than limit bytes.
func (s *Store) Read(b manifest.Blob, limit int64) ([]byte, error) {
	if b.Size < 0 || b.Size > limit {
		return nil, fmt.Errorf("cannot read blob %s: %w: %d bytes, at most %d", b.Digest, ErrTooLarge, b.Size, limit)
	}
	r, err := s.Open(b)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Put stores what r holds as b. It fails with ErrDamaged, and stores nothing, when that is not b's content.
func (s *Store) Put(ctx context.Context, b manifest.Blob, r io.Reader) error {
	path, err := s.path(b.Digest)
	if err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	err = durable.Write(path, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, NewVerifier(WithContext(ctx, r), b, "blob "+b.Digest.String()))
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	s.remember(itself(b))
	return nil
}

// Import stores content whose digest is not known before, at most limit bytes of it.
func (s *Store) Import(ctx context.Context, r io.Reader, limit int64) (manifest.Blob, error) {
	b, _, err := s.ImportIf(ctx, r, limit, func(manifest.Blob) bool { return true })
	return b, err
}

// ImportIf puts content aside while it is hashed, and stores it when keep says so. It returns what the content is either way.
func (s *Store) ImportIf(ctx context.Context, r io.Reader, limit int64, keep func(manifest.Blob) bool) (manifest.Blob, bool, error) {
	b, kept, err := s.importIf(ctx, r, limit, keep)
	if err != nil {
		return manifest.Blob{}, false, fmt.Errorf("cannot store blob: %w", err)
	}
	return b, kept, nil
}

func (s *Store) importIf(ctx context.Context, r io.Reader, limit int64, keep func(manifest.Blob) bool) (b manifest.Blob, kept bool, err error) {
	if err := fault.Point("store/import"); err != nil {
		return b, false, err
	}
	f, err := os.CreateTemp(s.partial(), durable.TempPrefix)
	if err != nil {
		return b, false, err
	}
	defer func() {
		_ = f.Close()
		if !kept || err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	h := digest.SHA256.Digester()
	n, err := io.Copy(io.MultiWriter(f, h.Hash()), io.LimitReader(WithContext(ctx, r), limit+1))
	if err != nil {
		return b, false, err
	}
	if n > limit {
		return b, false, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	b = manifest.Blob{Digest: h.Digest(), Size: n}
	if !keep(b) {
		return b, false, nil
	}
	if err := f.Chmod(0o644); err != nil {
		return b, false, err
	}
	if err := errors.Join(fault.Point("store/sync"), f.Sync()); err != nil {
		return b, false, err
	}
	if err := f.Close(); err != nil {
		return b, false, err
	}
	path, err := s.path(b.Digest)
	if err != nil {
		return b, false, err
	}
	if err := durable.Rename(f.Name(), path); err != nil {
		return b, true, err
	}
	s.remember(itself(b))
	return b, true, nil
}

// Remove takes a blob and what was fetched of it out of the store. Removing what is not there is no error.
func (s *Store) Remove(d digest.Digest) error {
	path, err := s.path(d)
	if err != nil {
		return fmt.Errorf("cannot remove blob: %w", err)
	}
	s.forget(d)
	if err := removeAll(path, s.partPath(d), s.partPath(d)+sumsEnd); err != nil {
		return fmt.Errorf("cannot remove blob: %w", err)
	}
	return nil
}

// Prune removes every blob and every part of a blob that keep does not name, and what interrupted writes left. It returns the bytes
// that are free now. Nothing may write to the store meanwhile.
func (s *Store) Prune(keep map[digest.Digest]bool) (freed int64, err error) {
	for _, dir := range []string{s.blobs(), s.partial()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return freed, fmt.Errorf("cannot clean store: %w", err)
		}
		for _, e := range entries {
			name := e.Name()
			if dir == s.partial() {
				name = strings.TrimSuffix(name, sumsEnd)
			}
			d := digest.NewDigestFromEncoded(digest.SHA256, name)
			leftover := strings.HasPrefix(e.Name(), durable.TempPrefix)
			if !leftover && (!IsDigest(d) || keep[d]) { // what has another name was not put here by the store
				continue
			}
			info, err := e.Info()
			if err != nil {
				return freed, fmt.Errorf("cannot clean store: %w", err)
			}
			if err := errors.Join(fault.Point("store/prune"), os.Remove(filepath.Join(dir, e.Name()))); err != nil {
				return freed, fmt.Errorf("cannot clean store: %w", err)
			}
			s.forget(d)
			freed += info.Size()
		}
	}
	return freed, nil
}
