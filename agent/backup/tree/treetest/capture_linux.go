// Package treetest makes random folders, changes them, and compares what stands in them, for tests of whatever copies folders.
package treetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// NeedRoot fails a test that does not run as root.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests change owners of files: run them as root")
	}
}

// Capture describes everything below dir that a snapshot promises to keep, one line per file. It shares no code with the package.
func Capture(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	groups := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("mode %o owner %d:%d mtime %d device %d", st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), st.Rdev)
		for _, name := range slices.Sorted(maps.Keys(xattrsOf(t, path))) {
			line += fmt.Sprintf(" %q=%x", name, xattrsOf(t, path)[name])
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" to %q", target)
		case unix.S_IFREG:
			if first, ok := groups[st.Ino]; ok {
				line += fmt.Sprintf(" same as %q", first)
			} else {
				groups[st.Ino] = rel
			}
			line += fmt.Sprintf(" size %d names %d %s", st.Size, st.Nlink, contentOf(t, path, st.Size))
		}
		all[rel] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func xattrsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(value[:n])
	}
	return all
}

// contentOf is the checksum of a file and the stretches that hold data, in steps of 128 KiB: finer ones are the file system's
// affair.
func contentOf(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%x", sum.Sum(nil)[:8])
	const step = 128 << 10
	last := int64(-1)
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if err != nil {
			break
		}
		if at, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		for block := max(data/step, last+1); block <= (at-1)/step; block++ {
			out += fmt.Sprintf(" %d", block)
			last = block
		}
	}
	return out
}

// Equal compares two captures.
func Equal(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, line := range want {
		if got[path] != line {
			t.Errorf("%s: %q\n got %s\nwant %s", what, path, got[path], line)
		}
	}
	for path, line := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %q should not be there: %s", what, path, line)
		}
	}
}

// Settled waits until the clock of the file system has moved so far that metadata of older files proves something.
func Settled(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	begin := time.Now()
	for deadline := begin.Add(10 * time.Second); time.Now().Before(deadline); {
		probe := filepath.Join(dir, "probe")
		Must(t, os.WriteFile(probe, nil, 0o600))
		st, err := os.Stat(probe)
		Must(t, err)
		if st.ModTime().Sub(begin) > 150*time.Millisecond {
			return
		}
	}
	t.Fatal("the clock of the file system does not move")
}

// Must fails a test at once.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// acl is a POSIX access control list as the kernel stores it: owner rwx, one user rwx, group r-x, mask rwx, others none.
func acl(uid uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {2, 7, uid}, {4, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// Countdown is a context that ends at the nth question whether it has ended: an interruption at any place, the same at every run.
type Countdown struct {
	context.Context
	left atomic.Int64
}

// NewCountdown returns a context that ends at question n+1.
func NewCountdown(ctx context.Context, n int) *Countdown {
	c := &Countdown{Context: ctx}
	c.left.Store(int64(n))
	return c
}

// Err counts.
func (c *Countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}
