//go:build linux || darwin

package deltas

import (
	"errors"
	"os"
	"syscall"
)

// share says that this process uses a folder, until the returned function is called or the process ends. clean is called first when no other
// does. Where a file system has no locks nothing is cleaned.
func share(dir string, clean func()) (end func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		clean()
	}
	_ = flock(f, syscall.LOCK_SH) // waits for no more than another's clean
	return func() { _ = f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
