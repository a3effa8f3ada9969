package crash

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Write makes the new folder dir hold what is in root.
func Write(dir string, root *Node) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return writeDir(dir, root, map[*Node]string{})
}

func writeDir(dir string, n *Node, seen map[*Node]string) error {
	seen[n] = dir
	for _, name := range slices.Sorted(maps.Keys(n.Names)) {
		if err := writeNode(filepath.Join(dir, name), n.Names[name], seen); err != nil {
			return err
		}
	}
	return setAttr(dir, n)
}

func writeNode(path string, n *Node, seen map[*Node]string) error {
	if first, ok := seen[n]; ok {
		return os.Link(first, path)
	}
	switch n.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		return writeDir(path, n, seen)
	case unix.S_IFREG:
		if err := writeData(path, n.Data); err != nil {
			return err
		}
	case unix.S_IFLNK:
		if err := os.Symlink(n.Link, path); err != nil {
			return err
		}
	default:
		if err := unix.Mknod(path, n.Mode, int(n.Device)); err != nil {
			return err
		}
	}
	seen[n] = path
	return setAttr(path, n)
}

// writeData leaves holes where a file has only zeros.
func writeData(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	for at := 0; at < len(data); at += len(zeros) {
		part := data[at:min(at+len(zeros), len(data))]
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			return err
		}
	}
	return nil
}

var zeros = make([]byte, 64<<10)

func setAttr(path string, n *Node) error {
	if err := os.Lchown(path, int(n.UID), int(n.GID)); err != nil {
		return err
	}
	if n.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(path, n.Mode&0o7777); err != nil {
			return err
		}
	}
	for name, value := range n.Xattrs {
		if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
			return err
		}
	}
	at := unix.NsecToTimespec(n.Mtime)
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}
