package installer

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"dhow/bundle/durable"
)

// Icon is the picture of the launcher, as packages bring it to IconPath.
//
//go:embed dhow.svg
var Icon []byte

// Where the launcher and its icon are.
const (
	LauncherPath = "/usr/share/applications/dhow.desktop"
	IconPath     = "/usr/share/icons/hicolor/scalable/apps/dhow.svg"
)

// Launcher is the entry of the desktop's menus that opens the page at address, such as "http://127.0.0.1:8910".
func Launcher(address string) string {
	return `[Desktop Entry]
Type=Application
Version=1.0
Name=Dhow
GenericName=Updates
GenericName[fr]=Mises à jour
GenericName[pt]=Atualizações
GenericName[es]=Actualizaciones
GenericName[sw]=Masasisho
GenericName[ht]=Mizajou
GenericName[ar]=التحديثات
Exec=xdg-open ` + address + `
Icon=dhow
Terminal=false
Categories=System;
StartupNotify=true
`
}

// Desktop puts the launcher into the menus, and onto the desktop of the user where there is one; user may be empty. A computer without a desktop
// is left alone, which absent says.
func Desktop(address, username string) (done Done, absent bool, err error) {
	if !hasDesktop(exists) {
		return Kept, true, nil
	}
	done = Kept
	for _, f := range []struct {
		path string
		data []byte
	}{{IconPath, Icon}, {LauncherPath, []byte(Launcher(address))}} {
		if same(f.path, string(f.data)) {
			continue
		}
		if done == Kept {
			if done = Made; exists(f.path) {
				done = Repaired
			}
		}
		if err := durable.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return "", false, fmt.Errorf("cannot make the launcher: %w", err)
		}
		if err := durable.WriteFile(f.path, f.data, 0o644); err != nil {
			return "", false, fmt.Errorf("cannot make the launcher: %w", err)
		}
	}
	if username != "" {
		if err := onDesktop(username, Launcher(address)); err != nil {
			return "", false, fmt.Errorf("cannot put the launcher on the desktop of %s: %w", username, err)
		}
	}
	return done, false, nil
}

// RemoveDesktop takes the launcher away, from the user's desktop too. What a package has brought is left to the package.
func RemoveDesktop(username string) error {
	if !exists(Packaged) {
		for _, p := range []string{LauncherPath, IconPath} {
			if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("cannot remove the launcher: %w", err)
			}
		}
	}
	if username == "" {
		return nil
	}
	if err := offDesktop(username); err != nil {
		return fmt.Errorf("cannot remove the launcher from the desktop of %s: %w", username, err)
	}
	return nil
}

// hasDesktop reports whether somebody can sit at this computer: a session of a desktop is installed.
func hasDesktop(exists func(string) bool) bool {
	return runtime.GOOS == "linux" && (exists("/usr/share/xsessions") || exists("/usr/share/wayland-sessions"))
}

// launcherName is that of the launcher on a user's desktop.
const launcherName = "dhow.desktop"

// desktopOf is the folder in a home whose files lie on the desktop, as xdg-user-dirs names it in the user's language.
func desktopOf(home *os.Root) string {
	text, _ := readSmall(home, filepath.Join(".config", "user-dirs.dirs"))
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "XDG_DESKTOP_DIR="); ok {
			if rel, ok := strings.CutPrefix(strings.Trim(value, `"`), "$HOME/"); ok && filepath.IsLocal(rel) {
				return rel
			}
		}
	}
	return "Desktop"
}

// maxSmall bounds a file of a user that is read here, in bytes.
const maxSmall = 1 << 16

// readSmall reads a file of a user, who may have put anything there: a pipe, a link out of the folder, a file without end.
func readSmall(dir *os.Root, name string) (string, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxSmall {
		return "", fmt.Errorf("%s is no small file: %w", name, errors.Join(err, os.ErrInvalid))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSmall))
	return string(data), err
}
