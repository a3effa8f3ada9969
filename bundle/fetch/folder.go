package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"dhow/bundle"
	"dhow/manifest"
)

// folder is a folder with the layout. Links that lead out of it are refused.
type folder struct {
	name string
	mu   sync.Mutex
	root *os.Root
}

func openFolder(path string) (bundle.Source, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unreadable(err)
	}
	return &folder{name: path, root: root}, nil
}

// here is the folder that is there now. A stick that was pulled out and comes back is another folder than the one that was opened.
func (f *folder) here() (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(f.name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	if then, err := f.root.Stat("."); err == nil && os.SameFile(then, now) {
		return f.root, nil
	}
	root, err := os.OpenRoot(f.name)
	if err != nil {
		return nil, unreadable(err)
	}
	_ = f.root.Close()
	f.root = root
	return root, nil
}

func (f *folder) Name() string { return f.name }

func (f *folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root.Close()
}

func (f *folder) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !bundle.IsDocument(path) {
		return nil, fmt.Errorf("%s: %s: %w", f.name, path, bundle.ErrUnsafePath)
	}
	file, size, err := f.open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read %s: %w", f.name, path, err)
	}
	defer file.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %s is %w: %d bytes, at most %d", f.name, path, bundle.ErrTooLarge, size, limit)
	}
	data, err := readLimited(file, limit)
	if err != nil && !errors.Is(err, bundle.ErrTooLarge) {
		err = unreadable(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read %s: %w", f.name, path, err)
	}
	return data, ctx.Err()
}

func (f *folder) Blob(_ context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	path := bundle.BlobPath(b.Digest)
	if path == "" {
		return nil, fmt.Errorf("%q is not a SHA-256 digest", b.Digest)
	}
	file, size, err := f.open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read blob %s: %w", b.Digest, err)
	}
	if size != b.Size {
		_ = file.Close()
		return nil, fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, bundle.ErrDamaged, size, b.Size)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("cannot read blob %s: %w", b.Digest, unreadable(err))
	}
	return file, nil
}

// open opens a regular file below the folder.
func (f *folder) open(path string) (*os.File, int64, error) {
	root, err := f.here()
	if err != nil {
		return nil, 0, err
	}
	name := filepath.FromSlash(path)
	info, err := root.Stat(name)
	if err != nil {
		return nil, 0, misplaced(root, path, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, 0, fmt.Errorf("it is %w: not a regular file", bundle.ErrDamaged)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, 0, misplaced(root, path, err)
	}
	return file, info.Size(), nil
}

// misplaced tells a link that leads out of the folder from other causes.
func misplaced(root *os.Root, path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := range path + "/" {
		if i < len(path) && path[i] != '/' {
			continue
		}
		info, lerr := root.Lstat(filepath.FromSlash(strings.TrimSuffix(path[:i], "/")))
		if lerr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%w: %s is a link that leads out of it", bundle.ErrUnsafePath, path[:i])
		}
	}
	return unreadable(err)
}

// readLimited reads everything, and fails with ErrTooLarge when that is more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", bundle.ErrTooLarge, limit)
	}
	return data, nil
}
