// Package durable puts files in place so that a power cut leaves the old content or the new one, never a mixture.
//
// It is the only way in which Dhow replaces a file or a folder: temporary name in the same folder, write, fsync, rename, fsync the
// folder. Temporary names begin with TempPrefix; whoever owns a folder removes leftovers with Clean when nothing writes.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dhow/agent/fault"
)

// TempPrefix begins every temporary name.
const TempPrefix = ".dhow-tmp-"

// WriteFile puts data at path with the permission bits of perm, whatever the umask says.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	return Write(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write puts at path what fill writes. When fill fails nothing changes.
func Write(path string, perm os.FileMode, fill func(io.Writer) error) (err error) {
	if err := fault.Point("durable/create"); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), TempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(fill(f), fault.Point("durable/write")); err != nil {
		return err
	}
	if err := setMode(f.Chmod(perm), f.Stat, perm); err != nil {
		return err
	}
	if err := errors.Join(fault.Point("durable/sync"), f.Sync()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return Rename(f.Name(), path)
}

// MkdirAll makes a folder, and those above it that are missing, so that they survive a power cut: a file that was synced in a folder whose
// own name was not may be gone with it.
func MkdirAll(dir string, perm os.FileMode) error {
	dir = filepath.Clean(dir)
	above := filepath.Dir(dir)
	if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) && above != dir {
		if err := MkdirAll(above, perm); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, perm); err != nil {
		return err
	}
	return SyncDir(above) // also when it was there: who made it may have ended before this
}

// Rename moves a file or folder, whose content the caller has synced, and syncs the folder that it comes to stand in.
func Rename(from, to string) error {
	if err := fault.Point("durable/rename"); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(fault.Point("durable/sync-folder"), SyncDir(filepath.Dir(to)))
}

// Dir fills a temporary folder beside path and moves it to path once everything in it is on disk. A folder that is there
// already is replaced, in one step where the system can exchange two names (Linux). When fill fails nothing changes.
func Dir(path string, perm os.FileMode, fill func(dir string) error) (err error) {
	if err := fault.Point("durable/make-folder"); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), TempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	if err := errors.Join(fill(tmp), fault.Point("durable/fill-folder")); err != nil {
		return err
	}
	stat := func() (os.FileInfo, error) { return os.Stat(tmp) }
	if err := setMode(os.Chmod(tmp, perm), stat, perm); err != nil {
		return err
	}
	if err := SyncTree(tmp); err != nil {
		return err
	}
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return Rename(tmp, path)
	}
	if err := fault.Point("durable/exchange"); err != nil {
		return err
	}
	if err := exchange(tmp, path); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := fault.Point("durable/drop-folder"); err != nil {
		return err
	}
	return os.RemoveAll(tmp) // now the old folder; Clean removes it when this is interrupted
}

// setMode judges the error of a chmod. A file system without permissions, such as FAT on a stick, refuses them: that is an error
// only when the file would be open to more people than perm says.
func setMode(err error, stat func() (os.FileInfo, error), perm os.FileMode) error {
	if err == nil || !errors.Is(err, os.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	info, serr := stat()
	if serr != nil || info.Mode().Perm()&^0o111&^perm != 0 {
		return err
	}
	return nil
}

// swapAside replaces path by tmp where the system can't do it in one step: a power cut in between leaves both beside path.
func swapAside(tmp, path string) error {
	old := tmp + "-old"
	if err := os.Rename(path, old); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Rename(old, path))
	}
	return os.Rename(old, tmp)
}

// SyncTree syncs every regular file and folder below root, root included. Links are left alone.
func SyncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return SyncDir(path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// Clean removes what an interrupted Write or Dir left in dir. A folder that is not there is clean.
func Clean(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), TempPrefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("cannot remove leftover: %w", err)
			}
		}
	}
	return nil
}
