//go:build unix

package site

import (
	"os"
	"syscall"
)

// SameDisk reports whether two paths lie on one file system. Paths that can't be looked at count as one.
func SameDisk(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return true
	}
	y, err := os.Stat(b)
	if err != nil {
		return true
	}
	s, ok := x.Sys().(*syscall.Stat_t)
	u, ok2 := y.Sys().(*syscall.Stat_t)
	return !ok || !ok2 || s.Dev == u.Dev
}
