//go:build unix

package installer

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
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

// TestSession keeps root's environment from a browser that root starts for somebody.
func TestSession(t *testing.T) {
	u := &user.User{Uid: "1000", Username: "alice", HomeDir: "/home/alice"}
	for name, c := range map[string]struct {
		env   map[string]string
		files []string
		want  string
	}{
		"what sudo lets through on X11, and what logind has put there": {
			map[string]string{"DISPLAY": ":0", "XAUTHORITY": "/run/user/1000/gdm/Xauthority", "XDG_CURRENT_DESKTOP": "GNOME", "LANG": "sw_TZ.UTF-8", "SUDO_USER": "alice", "SECRET": "x"},
			[]string{"/run/user/1000", "/run/user/1000/bus"},
			"DISPLAY=:0 XAUTHORITY=/run/user/1000/gdm/Xauthority XDG_CURRENT_DESKTOP=GNOME LANG=sw_TZ.UTF-8 XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus",
		},
		"Wayland, by way of XWayland": {
			map[string]string{"DISPLAY": ":0"},
			[]string{"/run/user/1000", "/run/user/1000/bus", "/run/user/1000/wayland-0"},
			"DISPLAY=:0 XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus WAYLAND_DISPLAY=wayland-0",
		},
		"no logind": {map[string]string{"DISPLAY": ":0"}, nil, "DISPLAY=:0"},
	} {
		got := session(u, func(name string) string { return c.env[name] }, func(path string) bool { return slices.Contains(c.files, path) })
		want := append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/alice", "USER=alice", "LOGNAME=alice"}, strings.Fields(c.want)...)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
