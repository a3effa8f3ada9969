//go:build !windows

package self

import (
	"os"
	"syscall"

	"github.com/opencontainers/go-digest"

	"dhow/bundle/durable"
)

// replace puts the candidate in the place of from in one step. Fails with ErrReplaced when another one is there.
func (a *Agent) replace(from digest.Digest) error {
	if err := a.keepOld(from); err != nil {
		return err
	}
	old, err := os.Lstat(oldOf(a.o.Program))
	if err != nil {
		return err
	}
	if now, err := os.Lstat(a.o.Program); err != nil {
		return err
	} else if !os.SameFile(old, now) { // since it was read
		return ErrReplaced
	}
	if err := durable.Rename(a.candidate(), a.o.Program); err != nil {
		return err
	}
	return a.point("replaced")
}

// Exec executes the program in place of this process, which keeps its pid. It returns only when that fails.
func (a *Agent) Exec() error {
	return syscall.Exec(a.o.Program, append([]string{a.o.Program}, a.o.Args...), os.Environ())
}
