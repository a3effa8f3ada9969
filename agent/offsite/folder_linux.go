package offsite

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes the next read of a synced file come from the disk. It is advice only.
func dropCache(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

func room(r *os.Root) (int64, bool) {
	d, err := r.Open(".")
	if err != nil {
		return 0, false
	}
	defer d.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
