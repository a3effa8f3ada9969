package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget lets the system drop what it holds of a file in memory, so that the next read is from the disk. It is advice only, and
// works for what is synced.
func forget(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// writeSoon has the system begin to write a stretch of a file to the disk, and does not wait for it.
func writeSoon(f *os.File, from, to int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WRITE)
}
