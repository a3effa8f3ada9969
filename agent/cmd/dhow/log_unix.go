//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// inJournal reports whether w is the standard error that systemd has connected to its journal: JOURNAL_STREAM names it by device and inode. A
// program that was started by a service, with another standard error, inherits the variable and not the stream.
func inJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}
