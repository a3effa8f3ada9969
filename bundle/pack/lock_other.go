//go:build !linux && !darwin

package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lockFile makes path, which must not be there, until unlockFile is called. A publication that was killed leaves the file behind; the error
// names it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w (if none is running, remove %s)", ErrClaimed, path)
	}
	return f, err
}

func unlockFile(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
