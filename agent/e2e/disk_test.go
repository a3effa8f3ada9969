//go:build e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a small file system of a test's own that can be filled.
type Disk struct {
	t     testing.TB
	path  string // where it is mounted
	image string // the file that it is
}

// newDisk makes a disk of so many megabytes. It is gone when the test ends, after all that was registered later.
func newDisk(t testing.TB, megabytes int64) *Disk {
	t.Helper()
	dir, err := os.MkdirTemp(world.temp, "disk-")
	if err != nil {
		t.Fatal(err)
	}
	d := &Disk{t: t, path: filepath.Join(dir, "mnt")}
	file := filepath.Join(dir, "image")
	if err := os.Mkdir(d.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	d.image = file
	d.must("mkfs.ext4", "-q", "-m", "0", "-b", "4096", file)
	d.must("mount", "-o", "loop", file, d.path)
	t.Cleanup(func() {
		if r := command(t, "", nil, "umount", d.path); r.Code != 0 {
			t.Error(r)
			_ = syscall.Unmount(d.path, syscall.MNT_DETACH)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *Disk) must(name string, args ...string) {
	d.t.Helper()
	if r := command(d.t, "", nil, name, args...); r.Code != 0 {
		d.t.Fatal(r)
	}
}

// unmount waits until all of it is in the image: what was mounted may live on for a moment in a container that is just being started.
func (d *Disk) unmount() {
	d.t.Helper()
	d.must("umount", d.path)
	poll(d.t, time.Minute, d.image+" to be used by nobody", func() (bool, string) {
		r := command(d.t, "", nil, "losetup", "--associated", d.image)
		return r.Code == 0 && r.Text() == "", r.String()
	})
}

// offline calls do while the disk is not mounted.
func (d *Disk) offline(do func(image string)) {
	d.t.Helper()
	d.unmount()
	do(d.image)
	d.must("mount", "-o", "loop", d.image, d.path)
}

// free is how many bytes can still be written.
func (d *Disk) free() int64 {
	d.t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(d.path, &s); err != nil {
		d.t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

func (d *Disk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill leaves so many bytes free. With 0 it takes every block.
func (d *Disk) fill(leave int64) {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		d.t.Fatal(err)
	}
	size, step := info.Size(), max(4096, d.free()-leave)
	for step >= 4096 && d.free() > leave {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			d.t.Fatal(err)
		}
	}
}

// empty takes the ballast away.
func (d *Disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		d.t.Fatal(err)
	}
}
