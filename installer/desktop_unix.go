//go:build !windows

package installer

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// onDesktop writes the launcher as a file that its owner may start. The folder belongs to the user, who may be anybody: the file is opened
// inside of it without following links, and given away by its descriptor.
func onDesktop(username, launcher string) error {
	u, err := user.Lookup(username)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	dir := openDesktop(u.HomeDir)
	if dir == nil {
		return nil
	}
	defer dir.Close()
	if there, err := readSmall(dir, launcherName); err == nil && there == launcher {
		return nil
	}
	_ = dir.Remove(launcherName)
	f, err := dir.OpenFile(launcherName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.WriteString(f, launcher); err != nil {
		return err
	}
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	return f.Chown(uid, gid)
}

// offDesktop removes the launcher.
func offDesktop(username string) error {
	u, err := user.Lookup(username)
	if err != nil {
		return nil // nobody has a desktop there
	}
	dir := openDesktop(u.HomeDir)
	if dir == nil {
		return nil
	}
	defer dir.Close()
	if err := dir.Remove(launcherName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openDesktop opens the desktop in a home, nil when there is none.
func openDesktop(path string) *os.Root {
	home, err := os.OpenRoot(path)
	if err != nil {
		return nil
	}
	defer home.Close()
	dir, err := home.OpenRoot(desktopOf(home))
	if err != nil {
		return nil
	}
	return dir
}

// nonBlocking keeps the opening of a pipe from waiting for somebody at its other end.
const nonBlocking = syscall.O_NONBLOCK

// Opener is the command that opens the page for whoever has called this program from a desktop with sudo, nil when nobody has. The browser is the
// caller's: it gets his session in place of root's environment, and outlives this program and the terminal.
func Opener(address string) *exec.Cmd {
	u, err := user.Lookup(Caller())
	if err != nil || os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	path, err := exec.LookPath("xdg-open")
	if err != nil {
		return nil
	}
	who, err := credential(u)
	if err != nil {
		return nil
	}
	cmd := exec.Command(path, address)
	cmd.Dir = "/"
	cmd.Env = session(u, os.Getenv, exists)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: who}
	return cmd
}

func credential(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}

// session is the environment of somebody's desktop. Sudo lets some of it through; the rest is where logind puts it.
func session(u *user.User, variable func(string) string, exists func(string) bool) []string {
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
	run := "/run/user/" + u.Uid
	for _, v := range []struct{ name, value, path string }{
		{"DISPLAY", "", ""},
		{"XAUTHORITY", "", ""},
		{"XDG_CURRENT_DESKTOP", "", ""},
		{"LANG", "", ""},
		{"XDG_RUNTIME_DIR", run, run},
		{"DBUS_SESSION_BUS_ADDRESS", "unix:path=" + run + "/bus", run + "/bus"},
		{"WAYLAND_DISPLAY", "wayland-0", run + "/wayland-0"},
	} {
		value := variable(v.name)
		if value == "" && v.path != "" && exists(v.path) {
			value = v.value
		}
		if value != "" {
			env = append(env, v.name+"="+value)
		}
	}
	return env
}
