//go:build unix

package site

import "golang.org/x/sys/unix"

func writable(folder string) error { return unix.Access(folder, unix.W_OK) }
