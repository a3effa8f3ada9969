package site

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Free returns how many bytes the agent may still write on the file system that holds path. A path that is not there yet counts as its
// nearest folder that is.
func Free(path string) (int64, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, fmt.Errorf("cannot tell the free space: %w", err)
	}
	for {
		_, err := os.Stat(path)
		parent := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || parent == path {
			break
		}
		path = parent
	}
	n, err := free(path)
	if err != nil {
		return 0, fmt.Errorf("cannot tell the free space of %s: %w", path, err)
	}
	return n, nil
}
