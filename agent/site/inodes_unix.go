//go:build linux || darwin

package site

import "golang.org/x/sys/unix"

func inodes(path string) (left, all uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return s.Ffree, s.Files, nil
}
