package installer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/kardianos/service"
)

// ErrNoEngine means that the distribution has no Docker Engine, or is not known.
var ErrNoEngine = errors.New("it is not known how to install a Docker Engine from this distribution")

// engines are the families of distributions whose own packages hold a Docker Engine. Red Hat and what is built from it have none. The last command
// counts: a list of packages that could not be brought up to date, as with the CD of the installation among its sources, may do. A computer that has just
// been started is often at its daily upgrades, which hold dpkg's lock.
var engines = []struct {
	ids      []string // of /etc/os-release: ID, or ID_LIKE
	commands [][]string
}{
	{[]string{"debian", "ubuntu"}, [][]string{{"apt-get", "update", "-qq"}, {"apt-get", "install", "-y", "-qq", "-o", "DPkg::Lock::Timeout=300", "docker.io"}}},
	{[]string{"fedora"}, [][]string{{"dnf", "install", "-y", "-q", "moby-engine"}}},
	{[]string{"opensuse", "opensuse-leap", "opensuse-tumbleweed", "suse"}, [][]string{{"zypper", "--non-interactive", "install", "docker"}}},
	{[]string{"alpine"}, [][]string{{"apk", "add", "docker"}}},
}

// notEngines look like one of them, and have none.
var notEngines = []string{"rhel", "centos", "rocky", "almalinux", "ol"}

// EngineCommands are what installs the Docker Engine of the distribution that osRelease, the text of /etc/os-release, names.
func EngineCommands(osRelease string) ([][]string, error) {
	var ids []string
	for sc := bufio.NewScanner(strings.NewReader(osRelease)); sc.Scan(); {
		name, value, _ := strings.Cut(sc.Text(), "=")
		if value = strings.Trim(value, `"'`); name == "ID" {
			ids = append([]string{value}, ids...)
		} else if name == "ID_LIKE" {
			ids = append(ids, strings.Fields(value)...)
		}
	}
	for _, id := range ids {
		if slices.Contains(notEngines, id) {
			break
		}
		for _, e := range engines {
			if slices.Contains(e.ids, id) {
				return e.commands, nil
			}
		}
	}
	return nil, ErrNoEngine
}

// InstallEngine installs the Docker Engine from the distribution's packages, which needs its servers, or only starts one that is installed. What the
// package manager says goes to out.
func InstallEngine(ctx context.Context, out io.Writer) error {
	if _, err := exec.LookPath("dockerd"); err != nil {
		text, err := os.ReadFile("/etc/os-release")
		if err != nil {
			return ErrNoEngine
		}
		commands, err := EngineCommands(string(text))
		if err != nil {
			return err
		}
		for _, args := range commands {
			err = loud(ctx, out, args...)
		}
		if err != nil {
			return err
		}
	}
	start := map[string][][]string{
		"linux-systemd": {{"systemctl", "enable", "--now", "docker"}},
		"linux-openrc":  {{"rc-update", "add", "docker"}, {"rc-service", "docker", "start"}},
		"unix-systemv":  {{"service", "docker", "start"}},
	}
	for _, args := range start[service.Platform()] {
		if err := loud(ctx, out, args...); err != nil {
			return err
		}
	}
	return nil
}

func loud(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}
