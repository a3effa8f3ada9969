//go:build e2e && unix

package e2e

import (
	"fmt"
	"io/fs"
	"syscall"
)

// owner is the user and group of a file.
func owner(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "?"
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}
