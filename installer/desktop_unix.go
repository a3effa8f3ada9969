//go:build !windows

package installer

import (
	"errors"
	"io"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// onDesktop writes the launcher as a file that its owner may start. The folder belongs to the user, who may be anybody: the file is opened
// inside of it without following links, and given away by its descriptor.
func onDesktop(username, launcher string) error {
	u, err := user.Lookup(username)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	dir := openDesktop(u.HomeDir)
	if dir == nil {
		return nil
	}
	defer dir.Close()
	if there, err := readSmall(dir, launcherName); err == nil && there == launcher {
		return nil
	}
	_ = dir.Remove(launcherName)
	f, err := dir.OpenFile(launcherName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.WriteString(f, launcher); err != nil {
		return err
	}
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	return f.Chown(uid, gid)
}

// offDesktop removes the launcher.
func offDesktop(username string) error {
	u, err := user.Lookup(username)
	if err != nil {
		return nil // nobody has a desktop there
	}
	dir := openDesktop(u.HomeDir)
	if dir == nil {
		return nil
	}
	defer dir.Close()
	if err := dir.Remove(launcherName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openDesktop opens the desktop in a home, nil when there is none.
func openDesktop(path string) *os.Root {
	home, err := os.OpenRoot(path)
	if err != nil {
		return nil
	}
	defer home.Close()
	dir, err := home.OpenRoot(desktopOf(home))
	if err != nil {
		return nil
	}
	return dir
}

// nonBlocking keeps the opening of a pipe from waiting for somebody at its other end.
const nonBlocking = syscall.O_NONBLOCK
