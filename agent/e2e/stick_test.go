//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newStick plugs in a stick of so many megabytes with exFAT, which stands for FAT: this test may run on kernels that have neither, and that one
// has a driver outside of the kernel. It returns the folder.
func newStick(t testing.TB, megabytes int64) string {
	t.Helper()
	dir, err := os.MkdirTemp(world.temp, "stick-")
	if err != nil {
		t.Fatal(err)
	}
	image, folder := filepath.Join(dir, "image"), filepath.Join(dir, "usb")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	must := func(name string, args ...string) string {
		t.Helper()
		r := command(t, "", nil, name, args...)
		if r.Code != 0 {
			t.Fatalf("%s (this test runs as root, with exfatprogs and exfat-fuse)", r)
		}
		return strings.TrimSpace(r.Out)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	must("mkfs.exfat", image)
	device := must("losetup", "-f", "--show", image)
	must("mount.exfat-fuse", device, folder)
	t.Cleanup(func() {
		must("umount", folder)
		must("losetup", "-d", device)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return folder
}
