//go:build !linux && !darwin

package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lock keeps other signings out of dir until the returned function is called. A signing that was killed leaves the file behind; the
// error names it.
func lock(dir string) (func(), error) {
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w (if none is running, remove %s)", dir, ErrBusy, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock the fleet repository: %w", err)
	}
	_ = f.Close()
	return func() { _ = os.Remove(path) }, nil
}
