//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/installer"
	"dhow/installer/systemdtest"
)

// dist is the folder with what scripts/release has made.
func dist(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DHOW_E2E_DIST")
	if dir == "" {
		t.Fatal("DHOW_E2E_DIST is not set: run these tests with scripts/test")
	}
	return dir
}

// theOnly is the only file that a pattern names.
func theOnly(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s names %v, %v", pattern, files, err)
	}
	return files[0]
}

// shell runs a line on the computer of the test.
func shell(t *testing.T, line string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", append([]string{"-euc", line, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// newer is the same package with a higher version.
func newer(t *testing.T, deb string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "newer.deb")
	shell(t, `dpkg-deb --raw-extract "$1" "$3"; sed -i 's/^Version: .*/Version: 99.0.0/' "$3/DEBIAN/control"; dpkg-deb -Znone --root-owner-group --build "$3" "$2"`,
		deb, to, filepath.Join(t.TempDir(), "tree"))
	return to
}

// TestPackages is the life of the Debian package on a computer with systemd: installed, made a site from a stick with FAT on which nothing
// can be run, upgraded while something is under way and while nothing is, removed, installed again, purged.
func TestPackages(t *testing.T) {
	t.Parallel()
	deb := theOnly(t, filepath.Join(dist(t), "dhow_*.deb"))
	s := newSite(t, ledgerCentre(t), "package")
	source := folderSource(t)
	s.centre.pin(t, s.name, "1.0.0", source)
	stick := newStick(t, 200)
	s.centre.must(t, "bundle", "create", "--site", s.name, "--with-installer", "--installer", dist(t), "-o", filepath.Join(stick, "emr.tgz"))
	c := &Clinic{Machine: systemdtest.Start(t, world.temp), t: t, site: s}
	c.Put(t, deb, "/srv/dhow.deb")
	c.Put(t, newer(t, deb), "/srv/newer.deb")

	step(t, "the package alone makes no site")
	c.has(c.Run(t, "dpkg", "--install", "/srv/dhow.deb"), "dhow: this computer is no site yet")
	if state := c.show("ActiveState") + " " + c.show("UnitFileState"); state != "inactive disabled" {
		t.Errorf("the service is %q", state)
	}
	if text := c.Run(t, "bash", "-c", ". /usr/share/bash-completion/completions/dhow; complete -p dhow"); !strings.Contains(text, "__start_dhow") {
		t.Errorf("completion: %s", text)
	}

	step(t, "a stick with FAT, on which nothing can be run")
	c.Put(t, stick, "/srv/stick") // as a desktop would mount it: no permission to run anything, and noexec
	c.Run(t, "sh", "-c", `mkdir -p /media/usb; chmod a-x /srv/stick/install /srv/stick/dhow-programs/*; mount --bind /srv/stick /media/usb; mount -o remount,bind,ro,noexec,nosuid,nodev /media/usb`)
	if text, code := c.Try(t, "/media/usb/install"); code != 126 {
		t.Errorf("a file of the stick can be run: %d %s", code, text)
	}
	shown := strings.Fields(s.centre.must(t, "root", "show")) // the file, then the fingerprint
	begun := time.Now()
	text := c.Run(t, "sh", "/media/usb/install", "--site", s.name, "--project", s.project, "--fingerprint", shown[1], "--set", "LEDGER_OWNER=x", "--set", fmt.Sprintf("LEDGER_PORT=%d", s.port))
	figure(t, "sudo sh install from a stick to a running release (ledger): %.1f s", time.Since(begun).Seconds())
	t.Logf("\n%s", text)
	if st := c.settles(time.Minute); st.Release != "1.0.0" {
		t.Errorf("after install: %+v", st)
	}
	c.Run(t, "umount", "/media/usb")
	for _, place := range []string{"/tmp", "/var/tmp", "/run"} {
		if left := c.Run(t, "find", place, "-name", "dhow-install.*"); left != "" {
			t.Errorf("install left %s", left)
		}
	}
	if text, code := c.Try(t, "test", "-e", "/etc/systemd/system/dhow.service"); code == 0 {
		t.Errorf("install has put its own service over that of the package %s", text)
	}

	step(t, "an upgrade does not stop what is under way")
	// This stands in front of the real one: it says that something is under way as long as /run/busy is there.
	c.Write(t, "/usr/local/bin/dhow", `#!/bin/sh
if [ "$1" = idle ]; then
	while [ -e /run/busy ]; do [ "$2" = --wait ] || exit 7; sleep 0.1; done
fi
exec /usr/bin/dhow "$@"
`)
	c.Run(t, "chmod", "755", "/usr/local/bin/dhow")
	c.Run(t, "touch", "/run/busy")
	pid := c.show("MainPID")
	c.Run(t, "dpkg", "--install", "/srv/newer.deb")
	if now := c.show("MainPID"); now != pid {
		t.Errorf("the agent was restarted: %s, before %s", now, pid)
	}
	if text, code := c.Try(t, "dpkg", "--remove", "dhow"); code == 0 || !strings.Contains(text, "an update or a backup is under way") || c.show("MainPID") != pid {
		t.Errorf("removed while something is under way: %d %s", code, text)
	}
	c.Run(t, "rm", "/run/busy")
	c.comesBack(pid, "when nothing is under way any more")
	pid = c.show("MainPID")
	c.Run(t, "dpkg", "--install", "/srv/newer.deb")
	c.comesBack(pid, "at an upgrade while nothing is under way")

	step(t, "removed: the stack goes on running, the data stay; installed again: as before")
	c.Run(t, "dpkg", "--remove", "dhow")
	if state := c.show("ActiveState"); state != "inactive" {
		t.Errorf("the service is %s", state)
	}
	if answer := s.fetch("/release"); answer != "1.0.0" {
		t.Errorf("users see %q", answer)
	}
	if text, code := c.Try(t, "ls", "-A", "/usr/lib/dhow"); code == 0 {
		t.Errorf("files of the program stay: %s", text)
	}
	c.Run(t, "dpkg", "--install", "/srv/dhow.deb")
	if st := c.settles(time.Minute); st.Release != "1.0.0" || st.Site != s.name {
		t.Errorf("installed again: %+v", st)
	}

	step(t, "purged: what belongs to the patients stays, and is named")
	text = c.Run(t, "dpkg", "--purge", "dhow")
	c.has(text, "dhow: /etc/dhow stays", "dhow: /var/lib/dhow stays")
	c.Run(t, "test", "-s", "/etc/dhow/dhow.yaml", "-a", "-s", "/etc/dhow/site.env", "-a", "-d", "/var/lib/dhow")
	if state := c.show("LoadState"); state != "not-found" {
		t.Errorf("the service is %s", state)
	}
}

// TestRPM reads the RPM package as rpm does, and lays it out into a root of its own with an empty database. Its scripts are those of the
// Debian package, which TestPackages runs.
func TestRPM(t *testing.T) {
	t.Parallel()
	file, root := theOnly(t, filepath.Join(dist(t), "dhow-*.rpm")), t.TempDir()
	text := shell(t, `rpm --query --package --nosignature --scripts "$1"; rpm --query --package --nosignature --queryformat '%{NAME} %{LICENSE} %{BUILDHOST}\n' "$1"`, file)
	for _, want := range []string{"postinstall scriptlet (using /bin/sh):", "preuninstall scriptlet", "postuninstall scriptlet", "dhow idle --wait", "dhow Apache-2.0 localhost"} {
		if !strings.Contains(text, want) {
			t.Errorf("the package lacks %q:\n%s", want, text)
		}
	}
	shell(t, `rpm --root "$2" --initdb; rpm --root "$2" --install --nodeps --noscripts --nosignature --ignorearch --ignoreos "$1"`, file, root)
	if target, err := os.Readlink(filepath.Join(root, installer.Link)); err != nil || target != "../lib/dhow/dhow" {
		t.Errorf("link: %q %v", target, err)
	}
	version := shell(t, `"$1" version`, filepath.Join(root, installer.Program))
	if !regexp.MustCompile(`^dhow \d+\.\d+\.\d+`).MatchString(version) {
		t.Errorf("the program in it says %q", version)
	}
	shell(t, `rpm --root "$1" --verify --nodeps dhow; rpm --root "$1" --erase --noscripts dhow; test ! -e "$1/usr/lib/dhow/dhow"`, root)
}
