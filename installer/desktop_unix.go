//go:build !windows

package installer

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
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
	home, err := os.OpenRoot(u.HomeDir)
	if err != nil {
		return nil // nobody has a desktop there
	}
	defer home.Close()
	rel, err := filepath.Rel(u.HomeDir, desktopOf(u.HomeDir))
	if err != nil {
		return err
	}
	dir, err := home.OpenRoot(rel)
	if err != nil {
		return nil
	}
	defer dir.Close()
	const name = "dhow.desktop"
	if there, err := dir.ReadFile(name); err == nil && string(there) == launcher {
		return nil
	}
	_ = dir.Remove(name)
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
