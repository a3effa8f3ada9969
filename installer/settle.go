package installer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kardianos/service"

	"dhow/bundle/durable"
)

// Init systems whose file of the service is ours, as kardianos/service calls them.
const (
	systemd  = "linux-systemd"
	sysVInit = "unix-systemv"
	openRC   = "linux-openrc"
)

// Paths of the service's files: ours for systemd and that of a package; for SysV and OpenRC.
const (
	unitPath   = "/etc/systemd/system/dhow.service"
	vendorUnit = "/usr/lib/systemd/system/dhow.service"
	scriptPath = "/etc/init.d/" + Name
)

// file is what tells an init system of the service: where it lies, and how it has to be. It is none where only the library knows.
func file(platform string) (path, text string, perm os.FileMode) {
	switch platform {
	case systemd:
		return unitPath, Unit(), 0o644
	case sysVInit:
		return scriptPath, filled(sysv), 0o755
	case openRC:
		return scriptPath, filled(openrc), 0o755
	}
	return "", "", 0
}

// settle sees that the init system knows the service, as this version wants it to be. A service that was there stays until the new one is in its
// place, whatever moment the power fails at: nobody would come to start the agent by hand.
func settle(s service.Service) (Done, error) {
	platform := service.Platform()
	if platform == systemd && same(vendorUnit, Unit()) {
		return settleVendor()
	}
	state, err := stateOf(s)
	if err != nil {
		return "", err
	}
	path, text, perm := file(platform)
	if path != "" && same(path, text) && starts(platform) {
		return Kept, nil
	}
	done := Repaired
	switch {
	case state == Absent:
		done = Made
	case path == "":
		if err := remove(s); err != nil {
			return "", fmt.Errorf("cannot replace the service: %w", err)
		}
	}
	if done == Made || path == "" {
		if err := s.Install(); err != nil {
			return "", fmt.Errorf("cannot install the service: %w", err)
		}
	}
	if path == "" {
		return done, nil
	}
	// Also after the library, which syncs nothing.
	if err := durable.WriteFile(path, []byte(text), perm); err != nil {
		return "", fmt.Errorf("cannot replace the service: %w", err)
	}
	if err := enable(platform); err != nil {
		return "", fmt.Errorf("cannot install the service: %w", err)
	}
	return done, nil
}

// settleVendor leaves the service to the package that has brought it. What an install from a stick wrote before would hide it.
func settleVendor() (Done, error) {
	if !exists(unitPath) && starts(systemd) {
		return Kept, nil
	}
	if err := os.Remove(unitPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot replace the service: %w", err)
	}
	if err := enable(systemd); err != nil {
		return "", fmt.Errorf("cannot install the service: %w", err)
	}
	return Made, nil
}

// Where SysV and OpenRC keep links to the scripts that they start.
const (
	sysVLevels   = "/etc/rc[2-5].d"
	openRCLevels = "/etc/runlevels/*/"
)

// starts reports whether the service is started at boot.
func starts(platform string) bool {
	switch platform {
	case systemd:
		return systemctl("is-enabled", "--quiet", Name) == nil
	case openRC:
		return len(glob(openRCLevels+Name)) > 0
	}
	for _, level := range glob(sysVLevels) {
		if len(glob(level+"/S[0-9][0-9]"+Name)) == 0 {
			return false
		}
	}
	return true
}

// enable makes the service one that is started at boot, also after a power cut that follows at once.
func enable(platform string) error {
	var folders []string
	switch platform {
	case systemd:
		// The link of a service that lay elsewhere may be there.
		if err := errors.Join(systemctl("daemon-reload"), systemctl("enable", "--force", Name)); err != nil {
			return err
		}
		folders = []string{filepath.Dir(unitPath) + "/multi-user.target.wants", filepath.Dir(unitPath)}
	case openRC:
		if !starts(openRC) {
			if out, err := exec.Command("rc-update", "add", Name).CombinedOutput(); err != nil {
				return fmt.Errorf("rc-update add: %w: %s", err, strings.TrimSpace(string(out)))
			}
		}
		for _, link := range glob(openRCLevels + Name) {
			folders = append(folders, filepath.Dir(link))
		}
	case sysVInit:
		for _, level := range glob(sysVLevels) {
			if folders = append(folders, level); len(glob(level+"/S[0-9][0-9]"+Name)) > 0 {
				continue
			}
			if err := errors.Join(removeAll(level+"/K[0-9][0-9]"+Name), os.Symlink(scriptPath, level+"/S50"+Name)); err != nil {
				return err
			}
		}
		folders = append(folders, glob("/etc/rc[016].d")...)
	}
	for _, folder := range folders {
		if err := durable.SyncDir(folder); err != nil {
			return err
		}
	}
	return nil
}

func glob(pattern string) []string {
	found, _ := filepath.Glob(pattern) // the patterns are right
	return found
}

func removeAll(pattern string) error {
	for _, path := range glob(pattern) {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
