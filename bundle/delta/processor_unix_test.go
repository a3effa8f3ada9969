//go:build unix

package delta

import (
	"syscall"
	"testing"
	"time"
)

// processor is the time that this process has computed for: other work on the computer doesn't count.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
