//go:build unix

package installer

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFilesOfAUser: what a user puts where root reads neither holds root up nor leads it elsewhere.
func TestFilesOfAUser(t *testing.T) {
	home, outside := t.TempDir(), t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(home, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, size := range map[string]int64{filepath.Join(home, "huge"): 1 << 40, filepath.Join(home, "small"): 3, filepath.Join(outside, "secret"): 3} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	for to, name := range map[string]string{filepath.Join(outside, "secret"): "link", outside: "Desktop"} {
		if err := os.Symlink(to, filepath.Join(home, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(home)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]bool{"pipe": false, "huge": false, "link": false, "small": true, "nothing": false} {
		if _, err := readSmall(root, name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if dir := openDesktop(home); dir != nil {
		t.Errorf("a desktop outside of the home was opened: %s", dir.Name())
	}
}
