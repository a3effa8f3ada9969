package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"

	"dhow/agent/site"
)

// maxSocketPath is what every system that Dhow runs on accepts as the path of a unix socket.
const maxSocketPath = 103

// listen opens the socket for root and the group. The caller holds the site's lock, so a socket that is there is a dead agent's.
func listen(paths site.Paths, group string) (net.Listener, error) {
	path := paths.Socket()
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("cannot open socket: %s is longer than %d bytes: choose a shorter prefix", path, maxSocketPath)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("cannot open socket: %w", err)
	case info.Mode().IsRegular() || info.IsDir():
		return nil, fmt.Errorf("cannot open socket: %s is there and is not a socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("cannot remove old socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open socket: %w", err)
	}
	if err := protect(paths, group); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// protect gives the socket and its folder to the group. The folder is closed to all others all the time.
func protect(paths site.Paths, group string) error {
	if runtime.GOOS == "windows" {
		return nil // the folder's access list is inherited
	}
	if err := os.Chmod(paths.Socket(), 0o660); err != nil {
		return fmt.Errorf("cannot protect socket: %w", err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return nil // there is no such group: root only
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return nil
	}
	for _, p := range []string{paths.Run(), paths.Socket()} {
		if err := os.Chown(p, -1, gid); err != nil && os.Geteuid() == 0 {
			return fmt.Errorf("cannot protect socket: %w", err)
		}
	}
	return nil
}
