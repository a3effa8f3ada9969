package crash

import (
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Fault lets operations fail. Op is read, write, sync, open, create or rename; "" stands for all of them. Path is part of the file's path, "" any.
// The first Skip such operations go well; the following Times ones (0: all) fail with Errno. A write with Short set first writes half of
// what it should, and fails with the next.
type Fault struct {
	Op, Path    string
	Skip, Times int
	Errno       syscall.Errno
	Short       bool

	seen, struck int
}

// due reports whether the fault strikes now.
func (t *Fault) due(d *disk, op string, f *file) bool {
	if t.Op != "" && t.Op != op || !strings.Contains(d.path(f), t.Path) {
		return false
	}
	t.seen++
	if t.seen <= t.Skip || t.Times > 0 && t.seen > t.Skip+t.Times {
		return false
	}
	t.struck++
	return true
}

func (d *disk) fail(op string, f *file) fuse.Status {
	for _, t := range d.faults {
		if t.due(d, op, f) {
			return fuse.Status(t.Errno)
		}
	}
	return fuse.OK
}

// failWrite returns how much of data is written: all, or half of it when the fault that strikes is a short write.
func (d *disk) failWrite(f *file, data []byte) ([]byte, fuse.Status) {
	for _, t := range d.faults {
		if !t.due(d, "write", f) {
			continue
		}
		if t.Short && t.struck == 1 && len(data) > 1 {
			return data[:len(data)/2], fuse.OK
		}
		return nil, fuse.Status(t.Errno)
	}
	return data, fuse.OK
}
