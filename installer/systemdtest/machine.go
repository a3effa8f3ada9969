//go:build e2e

// Package systemdtest gives tests a computer whose process 1 is a real systemd: a container of a small Debian, made by recipe (see
// scripts/lib.sh, which keeps it in the cache and hands its name over in DHOW_E2E_SYSTEMD).
//
// The machine shares the engine, the network and some folders with the test: the engine's socket, the folder of its volumes, and the
// folders that the test names are at the same paths on both sides. A dhow that runs in the machine therefore drives the engine that the
// test sees, and reads its volumes as root; ports that it opens on loopback are those of the test. Everything else (/usr, /etc, /var) is
// the machine's own and outlives a power cut, /run does not. The one thing that it can't have is a stack that mounts files of its
// release: the engine would look for them on its own disk. A machine of StartAlone shares folders only.
//
// A machine takes about two seconds to start, so tests share one where they can. All names begin with "dhow-e2e-systemd-"; the machine and
// its disk are gone when the test ends.
package systemdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Engine is the address of the engine, in the machine too.
const Engine = "/var/run/docker.sock"

// limit is how long a command may take.
const limit = 4 * time.Minute

// Machine is a running computer.
type Machine struct {
	// Name is that of its container.
	Name string
}

// Start starts a machine that sees folders at the same paths as the test, and ends it with the test.
func Start(t testing.TB, folders ...string) *Machine {
	t.Helper()
	m := run(t, []string{"/sbin/init"}, append(shared(t), mounts(folders)...))
	m.booted(t)
	return m
}

// StartAlone starts a machine that shares folders with the test, and neither engine nor network: an engine of its own can be installed, whose
// stacks listen on its own loopback. /proc/sys can be written, as an engine needs it, and what dpkg writes is not synced.
func StartAlone(t testing.TB, folders ...string) *Machine {
	t.Helper()
	m := run(t, []string{"/sbin/init"}, append([]string{
		"--network", "none", "--cap-add", "NET_ADMIN", "--device-cgroup-rule", "a *:* rwm",
		"--volume", "/var/lib/docker", // overlayfs can't be stacked on that of the machine
	}, mounts(folders)...))
	m.Run(t, "mount", "-o", "remount,rw", "/proc/sys")
	m.Run(t, "mkdir", "-p", "/etc/dpkg/dpkg.cfg.d")
	m.Write(t, "/etc/dpkg/dpkg.cfg.d/test", "force-unsafe-io\n")
	m.booted(t)
	return m
}

// Packages makes the packages of /srv/debian (see recipe) what apt-get installs from.
func (m *Machine) Packages(t testing.TB) {
	t.Helper()
	m.Run(t, "sh", "-c", "rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/srv/debian ./' >/etc/apt/sources.list")
}

// StartPlain starts a machine whose process 1 is called init, and does nothing but bury the dead.
func StartPlain(t testing.TB, folders ...string) *Machine {
	t.Helper()
	return run(t, []string{"sh", "-c", "cp /bin/sh /run/init && exec /run/init -c 'while :; do sleep 1; done'"}, append(shared(t), mounts(folders)...))
}

// StartOpenRC starts a machine whose process 1 is OpenRC's.
func StartOpenRC(t testing.TB, folders ...string) *Machine {
	t.Helper()
	const install = `rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/srv/debian ./' >/etc/apt/sources.list &&
		echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/test && apt-get update -qq && apt-get install -y -qq openrc`
	m := run(t, []string{"sh", "-c", "{ [ -e /sbin/openrc-init ] || { " + install + "; }; } && exec /sbin/openrc-init"}, append(shared(t), mounts(folders)...))
	m.booted(t)
	return m
}

// shared is what gives a machine the engine and the network of the test.
func shared(t testing.TB) []string {
	t.Helper()
	volumes := filepath.Join(docker(t, "info", "--format", "{{.DockerRootDir}}"), "volumes")
	return append([]string{"--network", "host", "--volume", socket(t) + ":/run/docker.sock"}, mounts([]string{volumes})...)
}

func mounts(folders []string) (args []string) {
	for _, f := range folders {
		args = append(args, "--volume", f+":"+f)
	}
	return args
}

func run(t testing.TB, init, more []string) *Machine {
	t.Helper()
	image := os.Getenv("DHOW_E2E_SYSTEMD")
	if image == "" {
		t.Fatal("DHOW_E2E_SYSTEMD is not set: run these tests with scripts/test")
	}
	m := &Machine{Name: fmt.Sprintf("dhow-e2e-systemd-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)}
	args := []string{
		"run", "--detach", "--name", m.Name, "--hostname", "clinic", "--add-host", "clinic:127.0.1.1",
		// What systemd needs to be process 1, without being the owner of the computer that the test runs on.
		"--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--stop-signal", "SIGRTMIN+3",
		"--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--env", "container=docker",
	}
	t.Cleanup(func() { m.Stop(t) })
	docker(t, slices.Concat(args, more, []string{image}, init)...)
	return m
}

// Run runs a command in the machine as root and returns what it printed, errors included, without the last line's end. The test fails
// when the command does.
func (m *Machine) Run(t testing.TB, args ...string) string {
	t.Helper()
	text, code := m.Try(t, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s\n%s", strings.Join(args, " "), code, text, m.journal(t))
	}
	return text
}

// Try is Run for commands that may fail; it returns the exit code.
func (m *Machine) Try(t testing.TB, args ...string) (text string, code int) {
	t.Helper()
	return m.Type(t, "", args...)
}

// Type is Try with something to read on standard input, which is no terminal.
func (m *Machine) Type(t testing.TB, input string, args ...string) (text string, code int) {
	t.Helper()
	text, code, err := call(input, append([]string{"exec", "--interactive", m.Name}, args...)...)
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, text, m.journal(t))
	}
	return text, code
}

// Terminal runs a shell's line on a terminal of the machine, as somebody who types input.
func (m *Machine) Terminal(t testing.TB, input, line string) (text string, code int) {
	t.Helper()
	text, code = m.Type(t, input, "script", "--quiet", "--return", "--command", line, "/dev/null")
	return strings.ReplaceAll(text, "\r", ""), code
}

// Put copies a file or folder of the test into the machine, owned by root. The folder that it comes into is made where it is missing.
func (m *Machine) Put(t testing.TB, from, to string) {
	t.Helper()
	m.Run(t, "mkdir", "-p", filepath.Dir(to))
	docker(t, "cp", from, m.Name+":"+to)
	m.Run(t, "chown", "-R", "root:root", to)
}

// Write puts a file with this content into the machine.
func (m *Machine) Write(t testing.TB, to, content string) {
	t.Helper()
	m.Run(t, "mkdir", "-p", filepath.Dir(to))
	if text, code := m.Type(t, content, "sh", "-c", `cat > "$0"`, to); code != 0 {
		t.Fatalf("cannot write %s: %s", to, text)
	}
}

// Wait polls until the condition holds, and fails the test after the deadline with what it said last.
func (m *Machine) Wait(t testing.TB, within time.Duration, what string, condition func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; <-tick.C {
		ok, last := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s; last seen: %s\n%s", within, what, last, m.journal(t))
		}
	}
}

// PowerCut takes the power away at once, and boots the machine again: every process is killed, the disk stays, /run is empty.
func (m *Machine) PowerCut(t testing.TB) {
	t.Helper()
	m.PowerOff(t)
	m.PowerOn(t)
}

// PowerOff is the first half of PowerCut.
func (m *Machine) PowerOff(t testing.TB) {
	t.Helper()
	docker(t, "kill", "--signal", "KILL", m.Name)
	m.Wait(t, 20*time.Second, "the machine to be off", func() (bool, string) {
		text, _, err := call("", "inspect", "--format", "{{.State.Running}}", m.Name)
		return err == nil && strings.TrimSpace(text) == "false", text
	})
}

// PowerOn boots a machine that is off.
func (m *Machine) PowerOn(t testing.TB) {
	t.Helper()
	docker(t, "start", m.Name)
	m.booted(t)
}

// Stop ends the machine and removes its disk. It may be called again.
func (m *Machine) Stop(t testing.TB) {
	t.Helper()
	if text, _, err := call("", "rm", "--force", "--volumes", m.Name); err != nil {
		t.Errorf("cannot remove the machine: %v: %s", err, text)
	}
}

// booted waits until the init system has started everything.
func (m *Machine) booted(t testing.TB) {
	t.Helper()
	m.Wait(t, 60*time.Second, "the machine to be running", func() (bool, string) {
		text, _, err := call("", "exec", m.Name, "sh", "-c", "if [ $(cat /proc/1/comm) = openrc-init ]; then cat /run/openrc/softlevel && [ ! -e /run/openrc/rc.starting ] && echo running; else systemctl is-system-running; fi")
		if err != nil {
			return false, err.Error()
		}
		return strings.HasSuffix(text, "running") || text == "degraded", text
	})
}

// journal is the end of what the machine has logged.
func (m *Machine) journal(t testing.TB) string {
	t.Helper()
	text, _, err := call("", "exec", m.Name, "journalctl", "--no-pager", "--lines", "40", "--output", "short-precise")
	if err != nil {
		text = err.Error()
	}
	return "the machine's journal:\n" + text
}

// socket is the path by which the engine itself knows its socket: it may have been mounted to where we see it.
func socket(t testing.TB) string {
	t.Helper()
	here, err := filepath.EvalSymlinks(Engine)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] == here {
			here = f[3]
		}
	}
	return here
}

// docker runs the docker client and fails the test when it fails.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	text, code, err := call("", args...)
	if err != nil || code != 0 {
		t.Fatalf("docker %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, text)
	}
	return strings.TrimSpace(text)
}

func call(input string, args ...string) (text string, code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = 2 * time.Second
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	text = strings.TrimRight(out.String(), "\n")
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return text, -1, fmt.Errorf("did not end within %s", limit)
	case errors.As(err, &exit):
		return text, exit.ExitCode(), nil
	case err != nil:
		return text, -1, err
	}
	return text, 0, nil
}
