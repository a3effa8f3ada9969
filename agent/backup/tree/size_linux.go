package tree

import (
	"os"

	"golang.org/x/sys/unix"
)

// Size is what a folder takes on disk, in bytes: the room that a copy of it needs, holes left out, hard-linked files counted once.
// Files that vanish meanwhile do not matter.
func Size(path string) (int64, error) {
	r, err := OpenRoot(path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return allocated(r.fd, path, map[[2]uint64]bool{})
}

func allocated(fd int, path string, seen map[[2]uint64]bool) (sum int64, err error) {
	names, err := readNames(fd, path)
	if err != nil {
		if Vanished(err) {
			return 0, nil
		}
		return 0, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue
		}
		if id := [2]uint64{uint64(st.Dev), st.Ino}; !seen[id] {
			if st.Nlink > 1 {
				seen[id] = true
			}
			n := int64(st.Blocks) * 512
			if n == 0 && st.Size > 0 { // kept inside the inode; another file system may need a block
				n = min(st.Size, 4096)
			}
			sum += n
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				if Vanished(err) {
					continue
				}
				return 0, &os.PathError{Op: "open", Path: path + "/" + name, Err: err}
			}
			n, err := allocated(sub, path+"/"+name, seen)
			_ = unix.Close(sub)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}
