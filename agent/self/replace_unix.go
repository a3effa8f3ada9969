//go:build !windows

package self

import (
	"os"
	"syscall"

	"dhow/bundle/durable"
)

// replace puts the candidate in place in one step.
func (a *Agent) replace() error {
	if err := a.keepOld(); err != nil {
		return err
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
