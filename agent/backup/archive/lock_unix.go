//go:build !windows

package archive

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// heldByAFork is how long a program that is being started may hold a lock that was given back.
const heldByAFork = 500 * time.Millisecond

// lock keeps others out until the file is closed: all of them, or those that change something.
func lock(path string, alone bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	// A program that this process is starting holds what it had open until it runs: a lock that was given back a moment ago.
	for end := time.Now().Add(heldByAFork); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	}
	if err != nil {
		_ = f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, ErrBusy
		}
		return nil, err
	}
	return f, nil
}
