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

// folder is a folder with the layout. Links that lead out of it are refused. It may be on another computer: see waiter.
type folder struct {
	name     string
	distance Distance
	waiter   *waiter
	mu       sync.Mutex
	root     *os.Root
}

func openFolder(ctx context.Context, path string) (bundle.Source, error) {
	return wait(ctx, paths, path, func() (bundle.Source, error) {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, unreadable(err)
		}
		return &folder{name: path, distance: pathDistance(path), waiter: paths, root: root}, nil
	}, func(src bundle.Source) { _ = src.Close() })
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

// Distance is that of the computer that has the folder.
func (f *folder) Distance() Distance { return f.distance }

func (f *folder) Close() error {
	_, err := wait(context.Background(), f.waiter, f.name, func() (struct{}, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return struct{}{}, f.root.Close()
	}, nil)
	return err
}

func (f *folder) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	if !bundle.IsDocument(path) {
		return nil, fmt.Errorf("%s: %s: %w", f.name, path, bundle.ErrUnsafePath)
	}
	file, size, err := f.open(ctx, path)
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

func (f *folder) Blob(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	path := bundle.BlobPath(b.Digest)
	if path == "" {
		return nil, fmt.Errorf("%q is not a SHA-256 digest", b.Digest)
	}
	file, size, err := f.open(ctx, path)
	if isNotExist(err) && !errors.Is(err, bundle.ErrUnreachable) {
		return nil, absent(fmt.Sprintf("it does not hold blob %s", b.Digest))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read blob %s: %w", b.Digest, err)
	}
	if size != b.Size {
		_ = file.Close()
		return nil, fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, bundle.ErrDamaged, size, b.Size)
	}
	if _, err := file.r.(*os.File).Seek(offset, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("cannot read blob %s: %w", b.Digest, unreadable(err))
	}
	return file, nil
}

// open opens a regular file below the folder.
func (f *folder) open(ctx context.Context, path string) (*patientFile, int64, error) {
	file, err := wait(ctx, f.waiter, f.name, func() (sizedFile, error) { return f.openNow(path) }, func(file sizedFile) { _ = file.Close() })
	return &patientFile{ctx: ctx, p: f.waiter, path: f.name, r: file.File}, file.size, err
}

type sizedFile struct {
	*os.File
	size int64
}

func (f *folder) openNow(path string) (file sizedFile, err error) {
	root, err := f.here()
	if err != nil {
		return file, err
	}
	name := filepath.FromSlash(path)
	info, err := root.Stat(name)
	if err != nil {
		return file, misplaced(root, path, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return file, fmt.Errorf("it is %w: not a regular file", bundle.ErrDamaged)
	}
	if file.File, err = root.Open(name); err != nil {
		return file, misplaced(root, path, err)
	}
	file.size = info.Size()
	return file, nil
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
