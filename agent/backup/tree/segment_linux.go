package tree

import (
	"os"

	"golang.org/x/sys/unix"
)

// Segment finds the next stretch of data of a file from at on, up to size: before data there is a hole, hole is where the next one
// begins. A file system that knows no holes says that all is data.
func Segment(f *os.File, at, size int64) (data, hole int64) {
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return size, size
	}
	if err != nil || data < at {
		return at, size
	}
	hole, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
	if err != nil || hole <= data {
		hole = size
	}
	return min(data, size), min(hole, size)
}
