// Package installer makes the agent a service of the computer: started at boot, started again when it ends.
//
// It promises that Install may be repeated (the service is written again and restarted), that a computer without an init system is told
// so by ErrNoInit and left alone, and that nothing but the service is touched: configuration, data and containers belong to others.
package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// unit is the service for systemd. The agent resumes by itself what was interrupted, so it is always started again, soon; a stop gives
// it time to leave a change in good order. Killing it never kills the containers.
const unit = `[Unit]
Description={{Description}}
Wants=network-online.target
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
ExecStart={{Path | cmdEscape}}{{range Arguments}} {{. | cmd}}{{end}}
Restart=always
RestartSec=3
TimeoutStopSec=60
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`

// Install writes the service, which runs executable with the argument "agent", and starts it.
func Install(executable string) error {
	s, err := open(executable)
	if err != nil {
		return err
	}
	if _, err := s.Status(); !errors.Is(err, service.ErrNotInstalled) {
		_ = s.Stop() // may be stopped already
		if err := s.Uninstall(); err != nil {
			return fmt.Errorf("cannot replace the service: %w", err)
		}
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("cannot install the service: %w", err)
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("cannot start the service: %w", err)
	}
	return nil
}

// Uninstall stops and removes the service. One that is not there is no error.
func Uninstall() error {
	s, err := open("")
	if err != nil {
		return err
	}
	if _, err := s.Status(); errors.Is(err, service.ErrNotInstalled) {
		return nil
	}
	_ = s.Stop() // may be stopped already
	if err := s.Uninstall(); err != nil {
		return fmt.Errorf("cannot remove the service: %w", err)
	}
	return nil
}

// State asks how the service is.
func State() (Status, error) {
	s, err := open("")
	if err != nil {
		return Absent, err
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
	s, err := service.New(p, config(""))
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

func open(executable string) (service.Service, error) {
	if !hasInit(service.Platform(), pid1(), exists) {
		return nil, ErrNoInit
	}
	s, err := service.New(&program{}, config(executable))
	if err != nil {
		return nil, fmt.Errorf("cannot talk to the init system: %w", err)
	}
	return s, nil
}

func config(executable string) *service.Config {
	return &service.Config{
		Name: Name, DisplayName: "Dhow", Description: "Dhow keeps this site on the release that the central team has chosen",
		Executable: executable, Arguments: []string{"agent"},
		Option: service.KeyValue{"SystemdScript": unit, "OnFailure": "restart", "OnFailureDelayDuration": "3s"},
	}
}

// hasInit reports whether the init system that was recognised by its files is also the one that runs. In a container the files may be
// there while something else is process 1.
func hasInit(platform, pid1 string, exists func(string) bool) bool {
	switch platform {
	case "windows-service", "darwin-launchd":
		return true
	case "linux-systemd":
		return exists("/run/systemd/system")
	case "linux-procd":
		return pid1 == "procd"
	case "linux-upstart", "linux-openrc", "linux-rcs", "unix-systemv":
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

func exists(path string) bool {
	_, err := os.Stat(filepath.Clean(path))
	return err == nil
}
