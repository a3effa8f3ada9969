//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Stick is a stick made of a file, with exFAT or FAT32. Both have drivers outside of the kernel: this test may run on kernels that have neither.
type Stick struct {
	t                   testing.TB
	kind, image, folder string
	device              string
	driver              *exec.Cmd // of FAT32
}

// newStick plugs in a stick of so many megabytes with exFAT. It returns the folder.
func newStick(t testing.TB, megabytes int64) string {
	t.Helper()
	return makeStick(t, "exfat", megabytes).folder
}

func makeStick(t testing.TB, kind string, megabytes int64) *Stick {
	t.Helper()
	dir, err := os.MkdirTemp(world.temp, "stick-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Stick{t: t, kind: kind, image: filepath.Join(dir, "image"), folder: filepath.Join(dir, "usb")}
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.image, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	if kind == "fat32" {
		s.must("mkfs.vfat", "-F", "32", s.image)
	} else {
		s.must("mkfs.exfat", s.image)
	}
	s.plug()
	t.Cleanup(func() {
		s.unplug()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Stick) must(name string, args ...string) string {
	s.t.Helper()
	r := command(s.t, "", nil, name, args...)
	if r.Code != 0 {
		s.t.Fatalf("%s (this test runs as root, with exfatprogs, exfat-fuse, dosfstools, fusefat and mtools)", r)
	}
	return strings.TrimSpace(r.Out)
}

// plug mounts it, to be written to unless an option says ro.
func (s *Stick) plug(options ...string) {
	s.t.Helper()
	s.device = s.must("losetup", "-f", "--show", s.image)
	if s.kind != "fat32" {
		s.must("mount.exfat-fuse", s.device, s.folder)
		return
	}
	if len(options) == 0 {
		options = []string{"rw+"}
	}
	// Without fsname it would not say which device it is on. In the foreground one can wait for its end.
	s.driver = exec.Command("fusefat", "-f", "-o", strings.Join(append(options, "fsname="+s.device), ","), s.device, s.folder)
	if err := s.driver.Start(); err != nil {
		s.t.Fatalf("%v (this test needs fusefat)", err)
	}
	poll(s.t, 20*time.Second, "fusefat to mount the stick", func() (bool, string) { return mountedAt(s.folder), s.folder })
}

// unplug unmounts it, when it is mounted.
func (s *Stick) unplug() {
	s.t.Helper()
	if s.device == "" {
		return
	}
	s.must("umount", s.folder)
	if s.driver != nil {
		_ = s.driver.Wait() // it writes until it ends
		s.driver = nil
	}
	s.must("losetup", "-d", s.device)
	s.device = ""
}
