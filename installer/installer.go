// Package installer makes the agent a program and a service of the computer: put in place, started at boot, started again when it ends or hangs.
//
// It promises that everything may be repeated, and says what it has done: what is right already is left alone, a running agent too. A service is never
// taken away before the new one is in its place, and a power cut leaves the one or the other (not on Windows, whose manager keeps it). A computer
// without an init system is told so by ErrNoInit and left alone. Nothing but what is named here is touched: configuration, data and
// containers belong to others.
//
//	/usr/lib/dhow/dhow                        the program (see agent/self, which replaces it)
//	/usr/bin/dhow                             a link to it
//	/usr/lib/dhow/package/dhow                what a package has brought; never changed, only put in the place of the program (see installer/package)
//	/etc/systemd/system/dhow.service          the service; none where a package has brought /usr/lib/systemd/system/dhow.service
//	/etc/init.d/dhow                          instead of it, with SysV and OpenRC
//	/var/log/dhow.log, dhow.log.1             what the agent says there when it can't start or crashes; they stay
//	/usr/share/applications/dhow.desktop      the launcher of the page (see Desktop)
//	/usr/share/icons/hicolor/scalable/apps/dhow.svg   its icon
//	group dhow                                who may talk to the agent
//
// Init systems are those of kardianos/service; with systemd the agent says when it is ready and that it lives (see Report).
package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"
)

// Name is the name of the service.
const Name = "dhow"

// ErrNoInit means that no init system runs which could start a service.
var ErrNoInit = errors.New("no init system runs here")

// Status is how the service is.
type Status string

// What Status may be.
const (
	Absent  Status = "not installed"
	Stopped Status = "installed, not running"
	Running Status = "running"
)

// Done is what was done to something.
type Done string

// What Done may be.
const (
	Kept     Done = "kept"     // it was right
	Made     Done = "made"     // it was not there
	Repaired Done = "repaired" // it was there, and was not right
)

// Install makes the program a service and sees that it runs. With restart an agent that runs is started anew although its service is right.
func Install(restart bool) (Done, error) {
	s, err := open()
	if err != nil {
		return "", err
	}
	done, err := settle(s)
	if err != nil {
		return "", err
	}
	state, err := stateOf(s)
	switch {
	case err != nil:
		return "", err
	case state == Running && done == Kept && !restart:
		return Kept, nil
	case state == Running:
		err = s.Restart()
	default:
		if err = s.Start(); done == Kept {
			done = Repaired
		}
	}
	if err != nil {
		return "", fmt.Errorf("cannot start the service: %w", err)
	}
	return done, nil
}

// Uninstall stops and removes the service. One that is not there is no error. What a package brought is switched off, and left to the package.
func Uninstall() error {
	s, err := open()
	if err != nil {
		return err
	}
	if service.Platform() == systemd {
		_ = systemctl("stop", Name+"-restart") // of installer/package/postinst; seldom there
	}
	if state, err := stateOf(s); err != nil || state == Absent {
		return err
	}
	if err := remove(s); err != nil {
		return fmt.Errorf("cannot remove the service: %w", err)
	}
	return nil
}

func remove(s service.Service) error {
	_ = s.Stop() // may be stopped already
	if service.Platform() == systemd && !exists(unitPath) {
		return systemctl("disable", Name)
	}
	if err := s.Uninstall(); err != nil {
		return err
	}
	if service.Platform() == sysVInit { // the library leaves its links
		return removeAll("/etc/rc?.d/[SK][0-9][0-9]" + Name)
	}
	return nil
}

// State asks how the service is.
func State() (Status, error) {
	s, err := open()
	if err != nil {
		return Absent, err
	}
	return stateOf(s)
}

func stateOf(s service.Service) (Status, error) {
	if service.Platform() == systemd {
		// The library takes a service that has failed for an error, and one that is being started for one that runs.
		switch {
		case systemctl("is-active", "--quiet", Name) == nil:
			return Running, nil
		case exists(unitPath) || exists(vendorUnit):
			return Stopped, nil
		}
		return Absent, nil
	}
	if service.Platform() == sysVInit || service.Platform() == openRC {
		switch { // the library fails where the service does not run, or has crashed
		case !exists(scriptPath):
			return Absent, nil
		case exec.Command(scriptPath, "status").Run() == nil:
			return Running, nil
		}
		return Stopped, nil
	}
	switch status, err := s.Status(); {
	case errors.Is(err, service.ErrNotInstalled):
		return Absent, nil
	case err != nil:
		return Absent, fmt.Errorf("cannot ask for the service: %w", err)
	case status == service.StatusRunning:
		return Running, nil
	}
	return Stopped, nil
}

// Serve calls run as the computer's service manager wants it. Where that is a matter of signals only, it just calls run.
func Serve(ctx context.Context, run func(context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	p := &program{ctx: ctx, run: run, done: make(chan error, 1)}
	s, err := service.New(p, config(Program))
	if err != nil {
		return fmt.Errorf("cannot talk to the service manager: %w", err)
	}
	if err := s.Run(); err != nil {
		return err
	}
	return p.err
}

type program struct {
	ctx    context.Context //nolint:containedctx // the service manager's interface has none
	cancel context.CancelFunc
	run    func(context.Context) error
	done   chan error
	err    error
}

func (p *program) Start(service.Service) error {
	ctx, cancel := context.WithCancel(p.ctx)
	p.cancel = cancel
	go func() { p.done <- p.run(ctx) }()
	return nil
}

func (p *program) Stop(service.Service) error {
	p.cancel()
	p.err = <-p.done
	return nil
}

func open() (service.Service, error) {
	if !hasInit(service.Platform(), pid1(), exists) {
		return nil, ErrNoInit
	}
	s, err := service.New(&program{}, config(Program))
	if err != nil {
		return nil, fmt.Errorf("cannot talk to the init system: %w", err)
	}
	return s, nil
}

// hasInit reports whether the init system that was recognised by its files is also the one that runs. In a container the files may be
// there while something else is process 1.
func hasInit(platform, pid1 string, exists func(string) bool) bool {
	switch platform {
	case "windows-service", "darwin-launchd":
		return true
	case systemd:
		return exists("/run/systemd/system")
	case "linux-procd":
		return pid1 == "procd"
	case "linux-upstart", openRC, "linux-rcs", sysVInit:
		return pid1 == "init" || pid1 == "openrc-init"
	}
	return false
}

func pid1() string {
	data, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// systemctl runs systemctl; its error holds what that said.
func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func same(path, content string) bool {
	data, err := os.ReadFile(path)
	return err == nil && string(data) == content
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Clean(path))
	return err == nil
}
