package offsite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// folder is a Place in a folder. It holds the folder open: when a stick is taken away nothing is ever written to what its path then means.
type folder struct {
	root *os.Root
	path string
}

func openFolder(dir string) (*folder, error) {
	r, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no such folder", ErrNoPlace)
	}
	if err != nil {
		return nil, stick(err)
	}
	return &folder{root: r, path: dir}, nil
}

// makeFolder makes a folder inside one that is there.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case err == nil:
		return durable.SyncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no folder %s", ErrNoPlace, filepath.Dir(dir))
	}
	return stick(err)
}

func (f *folder) Close() error { return f.root.Close() }

// List skips what is not a regular file, and temporary names.
func (f *folder) List(ctx context.Context, site string) ([]Stored, error) {
	var out []Stored
	for _, dir := range []string{path.Join(site, objectsDir), path.Join(site, backupsDir)} {
		d, err := f.root.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", dir, stick(err))
		}
		out, err = listDir(ctx, d, dir, out)
		_ = d.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", dir, err)
		}
	}
	return out, nil
}

func listDir(ctx context.Context, d *os.File, dir string, out []Stored) ([]Stored, error) {
	for {
		entries, err := d.ReadDir(1000)
		if errors.Is(err, io.EOF) {
			return out, ctx.Err()
		}
		if err != nil {
			return nil, stick(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), durable.TempPrefix) || !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, stick(err)
			}
			if out = append(out, Stored{Name: path.Join(dir, e.Name()), Size: info.Size()}); len(out) > maxFiles {
				return nil, fmt.Errorf("%w: more than %d files", ErrDamaged, maxFiles)
			}
		}
	}
}

// Put writes under a temporary name, syncs, reads the file back from the disk, and then gives it its name.
func (f *folder) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	err := f.put(ctx, name, size, r)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path.Join(f.path, name), stick(err))
	}
	return nil
}

func (f *folder) put(ctx context.Context, name string, size int64, r io.Reader) error {
	if !localPath(name) {
		return fmt.Errorf("internal error: %.80q is not a name for a place", name)
	}
	if err := f.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := fault.Point("offsite/folder-begin"); err != nil {
		return err
	}
	sum := sha256.New()
	fill := func(w io.Writer) error {
		n, err := io.Copy(w, io.TeeReader(under{ctx, r}, sum))
		if err == nil && n != size {
			err = fmt.Errorf("internal error: %d bytes in place of %d", n, size)
		}
		if err == nil {
			err = fault.Point("offsite/folder-write")
		}
		return err
	}
	check := func(file *os.File) error {
		dropCache(file)
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		back := sha256.New()
		if _, err := io.Copy(back, under{ctx, file}); err != nil {
			return err
		}
		if !slices.Equal(back.Sum(nil), sum.Sum(nil)) {
			return fmt.Errorf("%w: it does not give back what was written to it", ErrDamaged)
		}
		return fault.Point("offsite/folder-check")
	}
	if err := durable.WriteIn(f.root, name, 0o644, fill, check); err != nil {
		return err
	}
	return fault.Point("offsite/folder-done")
}

// makeDirs makes the folders of a path, durably.
func (f *folder) makeDirs(dir string) error {
	made := "."
	if dir == "." {
		return nil
	}
	for _, part := range strings.Split(dir, "/") {
		parent := made
		made = path.Join(made, part)
		err := f.root.Mkdir(made, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = durable.SyncDirIn(f.root, parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	info, err := f.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: it is not a file", ErrDamaged)
	}
	var file *os.File
	if err == nil {
		file, err = f.root.Open(name)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path.Join(f.path, name), stick(err))
	}
	return &stickReader{under{ctx, file}, file}, nil
}

type stickReader struct {
	under
	io.Closer
}

func (s *stickReader) Read(p []byte) (int, error) {
	n, err := s.under.Read(p)
	return n, stick(err)
}

func (f *folder) Delete(_ context.Context, name string) error {
	err := f.root.Remove(name)
	if err == nil {
		err = durable.SyncDirIn(f.root, path.Dir(name))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("cannot delete %s: %w", path.Join(f.path, name), stick(err))
}

// tidy removes what was being written to the site's folders when a stick was pulled out.
func (f *folder) tidy(site string) error {
	for _, dir := range []string{objectsDir, backupsDir} {
		dir = path.Join(site, dir)
		d, err := f.root.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return stick(err)
		}
		names, err := d.Readdirnames(-1)
		_ = d.Close()
		if err != nil {
			return stick(err)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, durable.TempPrefix) {
				continue
			}
			if err := f.root.Remove(path.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return stick(err)
			}
		}
	}
	return nil
}

// room is how many bytes may still be written; ok is false where the system does not say.
func (f *folder) room() (n int64, ok bool) { return room(f.root) }

// stick says what an error of a folder means.
func stick(err error) error {
	for _, kind := range []struct {
		of    error
		cause []error
	}{
		{ErrFull, []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}},
		{ErrDenied, []error{syscall.EROFS, fs.ErrPermission}},
		{ErrUnreachable, []error{syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ENOTCONN, syscall.ECONNABORTED, syscall.ESTALE}},
	} {
		if errors.Is(err, kind.of) || errors.Is(err, ErrSource) {
			return err
		}
		for _, cause := range kind.cause {
			if errors.Is(err, cause) {
				return fmt.Errorf("%w: %w", kind.of, err)
			}
		}
	}
	return err
}
