package tree

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dhow/agent/fault"
)

// Root is a folder whose content is reached by descriptors only, one path element at a time: no symbolic link inside is followed
// and no path is too long. It keeps the folders on the way to the last used one open, since work goes along the tree.
type Root struct {
	path  string // for messages
	fd    int
	names []string
	fds   []int
}

// OpenRoot opens a folder.
func OpenRoot(path string) (*Root, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &Root{path: path, fd: fd}, nil
}

// Close closes the folder.
func (r *Root) Close() {
	r.forget(0)
	_ = unix.Close(r.fd)
}

// forget closes the kept folders below depth. Call it with 0 when folders may have been removed.
func (r *Root) forget(depth int) {
	for _, fd := range r.fds[depth:] {
		_ = unix.Close(fd)
	}
	r.fds, r.names = r.fds[:depth], r.names[:depth]
}

// dir opens a folder; the descriptor stays r's and is good until the next call.
func (r *Root) dir(path string) (int, error) {
	if path == "." || path == "" {
		return r.fd, nil
	}
	names := strings.Split(path, "/")
	depth := 0
	for depth < len(names) && depth < len(r.names) && names[depth] == r.names[depth] {
		depth++
	}
	r.forget(depth)
	for _, name := range names[depth:] {
		at := r.fd
		if len(r.fds) > 0 {
			at = r.fds[len(r.fds)-1]
		}
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, r.failed("open", path, err)
		}
		r.fds, r.names = append(r.fds, fd), append(r.names, name)
	}
	return r.fds[len(r.fds)-1], nil
}

// at splits a path for the calls that take a folder and a name in it.
func (r *Root) at(path Name) (int, string, error) {
	p := string(path)
	if p == "." {
		return r.fd, ".", nil
	}
	i := strings.LastIndexByte(p, '/')
	fd, err := r.dir(p[:max(i, 0)])
	return fd, p[i+1:], err
}

// Path is where the folder is.
func (r *Root) Path() string { return r.path }

// Forget closes what is kept open. It must be called after somebody else may have removed or replaced folders.
func (r *Root) Forget() { r.forget(0) }

// Stat describes what is under path by its metadata alone (no Link, no Xattrs), with its number of names. The kind of a socket is "".
func (r *Root) Stat(path Name) (e *Entry, names int, err error) {
	st, err := r.stat(path)
	if err != nil {
		return nil, 0, err
	}
	e, _ = describe(path, &st)
	return e, int(st.Nlink), nil
}

func (r *Root) stat(path Name) (st unix.Stat_t, err error) {
	fd, name, err := r.at(path)
	if err != nil {
		return st, err
	}
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, r.failed("stat", string(path), err)
	}
	return st, nil
}

// Open opens a regular file for reading. What else stands under the name by now is ELOOP, or refused by the caller's stat.
func (r *Root) Open(path Name) (*os.File, error) {
	if err := fault.Point("tree/open"); err != nil {
		return nil, r.failed("open", string(path), err)
	}
	fd, name, err := r.at(path)
	if err != nil {
		return nil, err
	}
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	f, err := unix.Openat(fd, name, flags|unix.O_NOATIME, 0)
	if err == unix.EPERM {
		f, err = unix.Openat(fd, name, flags, 0)
	}
	if err != nil {
		return nil, r.failed("open", string(path), err)
	}
	return os.NewFile(uintptr(f), filepath.Join(r.path, string(path))), nil
}

// Create makes a new, empty file in place of whatever file had the name; other hard links of the old one keep their content.
func (r *Root) Create(path Name) (*os.File, error) {
	if err := fault.Point("tree/create"); err != nil {
		return nil, r.failed("create", string(path), err)
	}
	if err := r.Remove(path); err != nil {
		return nil, err
	}
	fd, name, err := r.at(path)
	if err != nil {
		return nil, err
	}
	f, err := unix.Openat(fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, r.failed("create", string(path), err)
	}
	return os.NewFile(uintptr(f), filepath.Join(r.path, string(path))), nil
}

// Change opens a regular file for reading and writing.
func (r *Root) Change(path Name) (*os.File, error) {
	if err := fault.Point("tree/change"); err != nil {
		return nil, r.failed("open", string(path), err)
	}
	fd, name, err := r.at(path)
	if err != nil {
		return nil, err
	}
	f, err := unix.Openat(fd, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, r.failed("open", string(path), err)
	}
	return os.NewFile(uintptr(f), filepath.Join(r.path, string(path))), nil
}

// Remove removes a name that is not a folder; a missing one is no error.
func (r *Root) Remove(path Name) error {
	if err := fault.Point("tree/remove"); err != nil {
		return r.failed("remove", string(path), err)
	}
	fd, name, err := r.at(path)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(fd, name, 0); err != nil && err != unix.ENOENT {
		return r.failed("remove", string(path), err)
	}
	return nil
}

func (r *Root) failed(op, path string, err error) error {
	return &os.PathError{Op: op, Path: filepath.Join(r.path, path), Err: err}
}

// readNames lists a folder given by descriptor.
func readNames(fd int, path string) ([]string, error) {
	dup, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := os.NewFile(uintptr(dup), path)
	defer d.Close()
	return d.Readdirnames(-1)
}

// procPath names a file for the calls that have no form with a descriptor.
func procPath(fd int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name
}

// Flush brings everything on r's file system to the disk. FUSE and network file systems may not hear syncfs: there every file
// is synced.
func (r *Root) Flush() error {
	if err := fault.Point("tree/flush"); err != nil {
		return r.failed("sync", "", err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.fd, &st); err != nil {
		return r.failed("statfs", "", err)
	}
	switch int64(uint32(st.Type)) {
	case unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return r.syncEach(r.fd, "")
	}
	if err := unix.Syncfs(r.fd); err != nil {
		return r.failed("sync", "", err)
	}
	return nil
}

func (r *Root) syncEach(fd int, path string) error {
	names, err := readNames(fd, filepath.Join(r.path, path))
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return r.failed("stat", path+"/"+name, err)
		}
		kind := st.Mode & unix.S_IFMT
		if kind != unix.S_IFREG && kind != unix.S_IFDIR {
			continue
		}
		f, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return r.failed("open", path+"/"+name, err)
		}
		if kind == unix.S_IFDIR {
			err = r.syncEach(f, path+"/"+name)
		} else if err = unix.Fsync(f); err != nil {
			err = r.failed("sync", path+"/"+name, err)
		}
		_ = unix.Close(f)
		if err != nil {
			return err
		}
	}
	if err := unix.Fsync(fd); err != nil {
		return r.failed("sync", path, err)
	}
	return nil
}

// Look describes an open file by its metadata alone; its path is empty and the kind of a socket is "".
func Look(f *os.File) (*Entry, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	e, _ := describe("", &st)
	return e, nil
}
