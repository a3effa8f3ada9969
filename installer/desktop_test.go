package installer

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestDesktopOf(t *testing.T) {
	home := t.TempDir()
	desktop := func(path string) string {
		root, err := os.OpenRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		return desktopOf(root)
	}
	for text, want := range map[string]string{
		"": "Desktop",
		"# comment\nXDG_DESKTOP_DIR=\"$HOME/Bureau\"\nXDG_MUSIC_DIR=\"$HOME/Musique\"\n": "Bureau",
		"XDG_DESKTOP_DIR=\"$HOME/../../etc\"\n":                                          "Desktop", // no way out of the home
		"XDG_DESKTOP_DIR=\"/etc\"\n":                                                     "Desktop",
	} {
		if err := os.MkdirAll(filepath.Join(home, ".config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".config", "user-dirs.dirs"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := desktop(home); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	if got := desktop(t.TempDir()); got != "Desktop" {
		t.Error(got)
	}
}

func TestHasDesktop(t *testing.T) {
	for path, want := range map[string]bool{"/usr/share/xsessions": true, "/usr/share/wayland-sessions": true, "/usr/bin/xdg-open": false} {
		if got := hasDesktop(func(p string) bool { return p == path }); got != (want && runtime.GOOS == "linux") {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestLauncher(t *testing.T) {
	text := Launcher("http://127.0.0.1:8910")
	for _, line := range []string{"[Desktop Entry]", "Type=Application", "Exec=xdg-open http://127.0.0.1:8910", "Icon=dhow", "Terminal=false"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if !strings.Contains(string(Icon), "<svg ") {
		t.Error("the icon is no SVG")
	}
}
