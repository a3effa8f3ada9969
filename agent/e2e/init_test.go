//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/installer/systemdtest"
)

// oldInit is a site on a computer without systemd, and the command that makes it one.
func oldInit(t *testing.T, name string, start func(testing.TB, ...string) *systemdtest.Machine) (c *Clinic, install []string) {
	t.Helper()
	s := newSite(t, ledgerCentre(t), name)
	c = &Clinic{Machine: start(t, world.temp), t: t, site: s}
	source := folderSource(t)
	s.centre.pin(t, s.name, "1.0.0", source)
	return c, []string{
		world.dhow, "install", "--site", s.name, "--source", source, "--root", s.centre.root(), "--yes", "--project", s.project,
		"--set", "LEDGER_OWNER=x", "--set", fmt.Sprintf("LEDGER_PORT=%d", s.port),
	}
}

// replies waits until the agent does.
func (c *Clinic) replies(what string) {
	c.t.Helper()
	c.Wait(c.t, 30*time.Second, "the agent to answer "+what, func() (bool, string) {
		_, ok := c.status()
		text, _ := c.Try(c.t, "cat", "/var/log/dhow.log")
		return ok, text
	})
}

// crashes kills the agent after others have filled its log, and looks whether it comes back and the log stays within its bounds.
func (c *Clinic) crashes() {
	t := c.t
	if text := c.Run(t, "cat", "/var/log/dhow.log"); text != "" {
		t.Errorf("the log is kept twice, once without bound:\n%s", text)
	}
	c.has(c.Run(t, "dhow", "logs"), `.* msg="agent started" `)
	c.Run(t, "sh", "-c", "yes crash | head -c 1100000 >>/var/log/dhow.log")
	c.Run(t, "pkill", "-KILL", "-x", "dhow")
	c.replies("after it was killed")
	if sizes := c.Run(t, "stat", "-c", "%s", "/var/log/dhow.log", "/var/log/dhow.log.1"); sizes != "0\n1100000" {
		t.Errorf("the log of crashes has not begun anew: %s", sizes)
	}
}

// repeats installs again: a service that is right is left alone, another one is replaced.
func (c *Clinic) repeats(install []string) {
	t := c.t
	pid := c.Run(t, "pgrep", "-x", "dhow")
	c.has(c.Run(t, install...), `service   it is right, and runs$`)
	if now := c.Run(t, "pgrep", "-x", "dhow"); now != pid {
		t.Errorf("the agent was restarted: %s, before %s", now, pid)
	}
	c.Run(t, "sh", "-c", "echo >/etc/init.d/dhow")
	c.has(c.Run(t, install...), `service   dhow 1.0.0-e2e is repaired and started$`)
	c.replies("after the install was repeated")
}

// lacks expects that a service without its program is not started.
func (c *Clinic) lacks(start ...string) {
	t := c.t
	c.Run(t, "chmod", "a-x", "/usr/lib/dhow/dhow")
	if text, code := c.Try(t, start...); code == 0 || !strings.Contains(text, "There is no /usr/lib/dhow/dhow") {
		t.Errorf("started without a program: %d %s", code, text)
	}
	c.Run(t, "chmod", "a+x", "/usr/lib/dhow/dhow")
}

// goes uninstalls, and looks for what is left.
func (c *Clinic) goes() {
	t := c.t
	c.has(c.Run(t, "dhow", "uninstall"), `The service is removed\.$`)
	if text, _ := c.Try(t, "sh", "-c", "ls /etc/init.d/dhow /etc/rc?.d/*dhow /etc/runlevels/*/dhow; pgrep -x dhow"); strings.Contains("\n"+text, "\n/etc") || regexp.MustCompile(`(?m)^\d+$`).MatchString(text) {
		t.Errorf("left behind: %s", text)
	}
}

// TestSysV installs the service where init runs scripts.
func TestSysV(t *testing.T) {
	t.Parallel()
	c, install := oldInit(t, "sysv", systemdtest.StartPlain)
	c.has(c.Run(t, install...), `service   dhow 1.0.0-e2e is installed and started$`)
	c.replies("after the install")
	if links := c.Run(t, "sh", "-c", "readlink /etc/rc2.d/S50dhow /etc/rc6.d/K02dhow"); links != "/etc/init.d/dhow\n/etc/init.d/dhow" {
		t.Errorf("links: %s", links)
	}
	c.crashes()
	c.repeats(install)
	c.Run(t, "rm", "/etc/rc2.d/S50dhow")
	c.has(c.Run(t, install...), `service   dhow 1.0.0-e2e is repaired and started$`)
	c.Run(t, "test", "-x", "/etc/rc2.d/S50dhow")
	c.Run(t, "service", "dhow", "stop")
	if text, code := c.Try(t, "service", "dhow", "status"); code == 0 || text != "Stopped" {
		t.Errorf("stopped: %d %s", code, text)
	}
	if text, code := c.Try(t, "pgrep", "-x", "dhow"); code == 0 {
		t.Errorf("stopped, and runs: %s", text)
	}
	c.lacks("service", "dhow", "start")
	c.Run(t, "service", "dhow", "start")
	c.replies("after it was stopped and started")
	c.goes()
}

// TestOpenRC installs the service where OpenRC is process 1, which supervises it and starts it after a power cut.
func TestOpenRC(t *testing.T) {
	t.Parallel()
	c, install := oldInit(t, "openrc", systemdtest.StartOpenRC)
	c.has(c.Run(t, install...), `service   dhow 1.0.0-e2e is installed and started$`)
	c.replies("after the install")
	c.crashes()
	c.repeats(install)
	c.Run(t, "rc-service", "dhow", "stop")
	if text, code := c.Try(t, "rc-service", "dhow", "status"); code != 3 || !strings.Contains(text, "stopped") {
		t.Errorf("stopped: %d %s", code, text)
	}
	if text, code := c.Try(t, "pgrep", "-x", "dhow"); code == 0 {
		t.Errorf("stopped, and runs: %s", text)
	}
	c.lacks("rc-service", "dhow", "start")
	c.PowerCut(t)
	c.replies("after the power cut")
	c.goes()
}
