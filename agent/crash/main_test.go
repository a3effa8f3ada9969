//go:build e2e

package crash_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dhow/agent/crash"
)

const (
	bootFile = "DHOW_CRASH_BOOT" // names the file that stands for the kernel's boot id
	bootID   = "/proc/sys/kernel/random/boot_id"
)

// TestMain runs the tests in a mount namespace of their own: nothing stays mounted after them, and they can start the system anew, as
// far as the agent can see, by changing its boot id.
func TestMain(m *testing.M) {
	crash.Serve()
	if os.Getenv(bootFile) == "" {
		os.Exit(again())
	}
	if err := unix.Mount(os.Getenv(bootFile), bootID, "", unix.MS_BIND, ""); err != nil {
		fmt.Fprintf(os.Stderr, "these tests put a file over %s: %v\n", bootID, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func again() int {
	dir, err := os.MkdirTemp("", "dhow-e2e-crash-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "boot_id")
	if err := os.WriteFile(file, []byte(boot(0)), 0o444); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), bootFile+"="+file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState != nil {
			return max(1, cmd.ProcessState.ExitCode())
		}
		fmt.Fprintf(os.Stderr, "these tests need root and a mount namespace (in a container: --cap-add SYS_ADMIN): %v\n", err)
		return 1
	}
	return 0
}

func boot(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d\n", n) }
