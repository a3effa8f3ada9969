package self

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithParent lets the kernel end a child whose parent was killed.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func lockThread() (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
