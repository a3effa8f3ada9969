//go:build !linux

package self

import "os/exec"

// dieWithParent leaves it to the child to end when its standard input does.
func dieWithParent(*exec.Cmd) {}

func lockThread() (unlock func()) { return func() {} }
