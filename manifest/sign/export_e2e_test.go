//go:build e2e && linux

package sign_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mounted mounts something on a new folder for the time of a test. It needs root.
func mounted(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("cannot unmount: %v\n%s", err, out)
		}
	})
	return dir
}

// TestExportOntoSticks: a key leaves this computer only when its copy is safe.
func TestExportOntoSticks(t *testing.T) {
	f := fleet(t)
	readOnly := mounted(t, "-t", "tmpfs", "-o", "ro", "tmpfs")
	full := mounted(t, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
	if err := os.WriteFile(filepath.Join(full, "photos"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the stick is not full: %v", err)
	}
	for dir, want := range map[string]error{readOnly: syscall.EROFS, full: syscall.ENOSPC} {
		if _, err := f.ExportKey("root-2", dir, false); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "cannot export key root-2: ") {
			t.Errorf("got %v, want %v", err, want)
		}
		if _, err := os.Stat(keyFile(f, "root-2")); err != nil {
			t.Errorf("the key is gone: %v", err)
		}
		if list, err := filepath.Glob(filepath.Join(dir, "*.json")); err != nil || len(list) != 0 {
			t.Errorf("left on the stick: %v, %v", list, err)
		}
	}
	image := filepath.Join(t.TempDir(), "stick.img")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 8<<20))
	if out, err := exec.Command("mkfs.exfat", image).CombinedOutput(); err != nil {
		t.Fatalf("cannot make a stick: %v\n%s", err, out)
	}
	device, err := exec.Command("losetup", "-f", "--show", image).Output()
	must(t, err)
	fat := t.TempDir()
	t.Cleanup(func() {
		for _, args := range [][]string{{"umount", fat}, {"losetup", "-d", strings.TrimSpace(string(device))}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
	})
	if out, err := exec.Command("mount.exfat-fuse", strings.TrimSpace(string(device)), fat).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount a stick (this test needs exfat-fuse): %v\n%s", err, out)
	}
	to, err := f.ExportKey("root-2", fat, false)
	must(t, err)
	if _, err := os.Stat(to); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(keyFile(f, "root-2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still here: %v", err)
	}
}
