package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dhow/bundle/durable"
)

// ExportKey copies the key file of that name to place, a folder or the path of a file, reads the copy back, and then removes the file
// here unless keep is set. It may be repeated after an interruption. A file that is another one is never overwritten.
func (r *Repository) ExportKey(name, place string, keep bool) (to string, err error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("cannot export key %s: %w", name, err) }
	from, err := r.keyFile(name)
	if err != nil {
		return fail(err)
	}
	data, err := readBounded(from)
	if err != nil {
		return fail(err)
	}
	if f, err := parseKey(data); err != nil {
		return fail(keyFileError("%s: %w", from, err))
	} else if f.KDF == kdfToken {
		return fail(keyError("it is in the token %s and never leaves it", f.Token.Label))
	}
	to = place
	if info, err := os.Stat(place); err == nil && info.IsDir() {
		to = filepath.Join(place, filepath.Base(from))
	}
	old, err := readBounded(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writeKey(to, data); err != nil {
			return fail(err)
		}
	case err != nil:
		return fail(err)
	case sameFile(from, to):
		return fail(fmt.Errorf("%s is the key file itself: %w", to, ErrExists))
	case !bytes.Equal(old, data):
		return fail(fmt.Errorf("%s is another file: %w", to, ErrExists))
	}
	back, err := readBounded(to)
	if err == nil && !bytes.Equal(back, data) {
		err = errors.New("it is not what was written")
	}
	if err != nil {
		return fail(fmt.Errorf("the copy %s can't be read back: %w", to, err))
	}
	if keep {
		return to, nil
	}
	if err := os.Remove(from); err != nil {
		return fail(fmt.Errorf("the copy is good, but the file here stays: %w", err))
	}
	return to, durable.SyncDir(filepath.Dir(from))
}

// writeKey writes a key file where nothing is. A file system that knows no permissions, such as FAT on a stick, takes it too: the
// passphrase guards it.
func writeKey(to string, data []byte) error {
	err := durable.WriteFile(to, data, 0o600)
	if errors.Is(err, os.ErrPermission) {
		err = durable.WriteFile(to, data, 0o644)
	}
	return err
}

// keyFile finds the file of a key by its name.
func (r *Repository) keyFile(name string) (string, error) {
	list, err := r.Keyring(nil).find()
	if err != nil {
		return "", err
	}
	for _, f := range list {
		if f.file != nil && f.file.Name == name {
			return f.path, nil
		}
		if f.file == nil && filepath.Base(f.path) == name+".json" {
			return "", f.err
		}
	}
	return "", keyError("it is not in %s", r.path(keysDir))
}

// readBounded reads a small file, from the disk and not from memory where the system lets us choose.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxKey {
		return nil, errors.Join(err, keyFileError("%s is not a key file", path))
	}
	forget(f)
	return io.ReadAll(io.LimitReader(f, maxKey))
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
