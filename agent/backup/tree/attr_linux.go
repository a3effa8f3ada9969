package tree

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dhow/agent/fault"
)

// describe fills an Entry from stat; ok is false for what is not kept (sockets).
func describe(path Name, st *unix.Stat_t) (e *Entry, ok bool) {
	e = &Entry{
		Path: path, Mode: uint32(st.Mode) & 0o7777, UID: st.Uid, GID: st.Gid,
		Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Inode: st.Ino,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Kind, e.Size = File, st.Size
	case unix.S_IFDIR:
		e.Kind = Dir
	case unix.S_IFLNK:
		e.Kind = Link
	case unix.S_IFIFO:
		e.Kind = Fifo
	case unix.S_IFCHR:
		e.Kind, e.Device = Char, uint64(st.Rdev)
	case unix.S_IFBLK:
		e.Kind, e.Device = Block, uint64(st.Rdev)
	default:
		return e, false
	}
	return e, true
}

// Apply gives the file under e's path the owner, mode, attributes and times of e. With strict unset, attributes that the file
// system or the system refuses are left out: the index keeps them anyway.
func (r *Root) Apply(e *Entry, strict bool) error {
	if err := fault.Point("tree/apply"); err != nil {
		return r.failed("set times of", string(e.Path), err)
	}
	fd, name, err := r.at(e.Path)
	if err != nil {
		return err
	}
	if err := unix.Fchownat(fd, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return r.failed("chown", string(e.Path), err)
	}
	if e.Kind != Link {
		if err := r.chmod(fd, name, e.Mode); err != nil {
			return r.failed("chmod", string(e.Path), err)
		}
	}
	if err := setXattrs(procPath(fd, name), e.Xattrs, strict); err != nil {
		return r.failed("set attributes of", string(e.Path), err)
	}
	mtime := unix.NsecToTimespec(e.Mtime)
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, mtime}
	if err := unix.UtimesNanoAt(fd, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return r.failed("set times of", string(e.Path), err)
	}
	return nil
}

// chmod goes through a descriptor of the file itself, since the call with a name would follow a link.
func (r *Root) chmod(fd int, name string, mode uint32) error {
	pin, err := unix.Openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pin)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(pin), mode)
}

// xattrs reads all extended attributes; path is not followed when it is a link.
func xattrs(path string) (map[Name][]byte, error) {
	names, err := grow(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if errors.Is(err, unix.ENOTSUP) || len(names) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[Name][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, err := grow(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[Name(name)] = value
	}
	return all, nil
}

// grow calls get with a buffer that is large enough.
func grow(get func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := get(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		n, err = get(b)
		if err == unix.ERANGE {
			continue
		}
		return b[:max(n, 0)], err
	}
}

func setXattrs(path string, want map[Name][]byte, strict bool) error {
	have, err := xattrs(path)
	if err != nil {
		return err
	}
	refused := func(err error) bool {
		return !strict && (errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL))
	}
	for name := range have {
		if _, ok := want[name]; ok || name == "security.selinux" { // a label is the system's and cannot be taken away
			continue
		}
		if err := unix.Lremovexattr(path, string(name)); err != nil && !errors.Is(err, unix.ENODATA) && !refused(err) {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if old, ok := have[name]; ok && bytes.Equal(old, want[name]) {
			continue
		}
		if err := unix.Lsetxattr(path, string(name), want[name], 0); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}
