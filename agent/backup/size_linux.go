package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"dhow/agent/backup/tree"
)

// Size is what the trees take on disk, in bytes: the room that a snapshot of them needs, holes left out, hard-linked files
// counted once. Files that vanish meanwhile do not matter.
func Size(trees []Tree) (int64, error) {
	if err := checkTrees(trees); err != nil {
		return 0, err
	}
	var sum int64
	for _, t := range trees {
		n, err := tree.Size(t.Path)
		if err != nil {
			return 0, fmt.Errorf("cannot read volume %s: %w", t.Name, err)
		}
		sum += n
	}
	return sum, nil
}

// Largest returns the size of a tree's largest file in bytes on disk: so much more room than its data a restore needs there.
func Largest(t Tree) (largest int64, err error) {
	err = filepath.WalkDir(t.Path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignore(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignore(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			largest = max(largest, st.Blocks*512)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cannot read volume %s: %w", t.Name, err)
	}
	return largest, nil
}

// ignore lets files vanish while they are looked at.
func ignore(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
