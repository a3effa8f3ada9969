//go:build linux || darwin

package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// lockFile makes path and locks it until unlockFile is called or the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrClaimed
		}
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	// It may be the file of a claim that has just ended: then somebody else could lock another one of that name.
	mine, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && !os.SameFile(mine, there) || errors.Is(err, fs.ErrNotExist) {
			err = ErrClaimed
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// unlockFile removes the file while it is still locked.
func unlockFile(f *os.File) {
	_ = os.Remove(f.Name())
	_ = f.Close()
}
