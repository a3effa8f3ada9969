//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/installer"
	"dhow/installer/systemdtest"
)

// newerRPM is the same package with a higher version: its header is not compressed.
func newerRPM(t *testing.T, rpm string) string {
	t.Helper()
	data, err := os.ReadFile(rpm)
	if err != nil {
		t.Fatal(err)
	}
	version := shell(t, `rpm --query --package --nosignature --queryformat '%{VERSION}' "$1"`, rpm)
	return write(t, filepath.Join(t.TempDir(), "newer.rpm"), bytes.ReplaceAll(data, []byte(version), append([]byte("9"), version[1:]...)))
}

// putRPM gives a computer the rpm of this one, with what it lacks for it.
func (c *Clinic) putRPM(t *testing.T) {
	t.Helper()
	tar := filepath.Join(t.TempDir(), "rpm.tar")
	shell(t, `tar --create --dereference --absolute-names --file "$1" /usr/lib/rpm $(command -v rpm) $(ldd "$(command -v rpm)" | grep --only-matching ' /[^ ]*')`, tar)
	c.Put(t, tar, "/srv/rpm.tar")
	c.Run(t, "tar", "--extract", "--absolute-names", "--skip-old-files", "--file", "/srv/rpm.tar")
}

// TestRPM is the life of the RPM package on a computer with systemd, by Debian's rpm: installed, upgraded over a newer program while an update is
// under way, removed, gone back to, removed. Its scripts are those of the Debian package, which TestPackages tries in more ways.
func TestRPM(t *testing.T) {
	t.Parallel()
	file := theOnly(t, filepath.Join(dist(t), "dhow-*.rpm"))
	if text := shell(t, `rpm --query --package --nosignature --queryformat '%{NAME} %{LICENSE} %{BUILDHOST}' "$1"`, file); text != "dhow Apache-2.0 localhost" {
		t.Errorf("the package: %s", text)
	}
	s := newSite(t, heldCentre(t), "rpm")
	source := folderSource(t)
	s.centre.pin(t, s.name, "1.1.0", source)
	c := &Clinic{Machine: systemdtest.Start(t, world.temp), t: t, site: s}
	c.putRPM(t)
	c.Put(t, file, "/srv/dhow.rpm")
	c.Put(t, newerRPM(t, file), "/srv/newer.rpm")
	rpm := func(args ...string) (string, int) {
		return c.Try(t, append([]string{"rpm", "--nodeps", "--nosignature", "--nodigest"}, args...)...)
	}
	must := func(args ...string) string {
		t.Helper()
		text, code := rpm(args...)
		if code != 0 || strings.Contains(text, "warning") || strings.Contains(text, "scriptlet") {
			t.Fatalf("rpm %s: %d\n%s", strings.Join(args, " "), code, text)
		}
		return text
	}

	step(t, "installed, and made a site by a program that the agent has fetched since")
	c.has(must("--install", "/srv/dhow.rpm"), "dhow: this computer is no site yet")
	c.Run(t, "test", installer.Program, "-ef", installer.Packaged)
	version := c.program()
	ahead := c.putAhead(version)
	c.Run(t, "dhow", "install", "--site", s.name, "--source", source, "--root", s.centre.root(), "--project", s.project, "--yes",
		"--set", "LEDGER_OWNER=x", "--set", fmt.Sprintf("LEDGER_PORT=%d", s.port))

	step(t, "upgraded while its first release is put in place")
	c.Run(t, "systemd-run", "--quiet", "dhow", "update", "--now")
	goOn := c.held()
	pid := c.show("MainPID")
	c.has(must("--upgrade", "/srv/newer.rpm"),
		regexp.QuoteMeta("dhow "+ahead+" is here, newer than "+version+" of this package, and stays. To go back on purpose: sudo rpm -e dhow, then install this package again.")+"$")
	if text := c.Run(t, "rpm", "--query", "--nosignature", "--nodigest", "dhow"); !strings.HasPrefix(text, "dhow-9") {
		t.Errorf("rpm knows %s", text)
	}
	if text, code := rpm("--erase", "dhow"); code == 0 || !strings.Contains(text, "an update or a backup is under way") {
		t.Errorf("removed while something is under way: %d %s", code, text)
	}
	if now := c.show("MainPID"); now != pid {
		t.Errorf("the agent was restarted: %s, before %s", now, pid)
	}

	step(t, "stopped by hand meanwhile: it stays so, and may be removed")
	c.Run(t, "systemctl", "stop", "dhow")
	c.Wait(t, 90*time.Second, "the restart that waited to be given up", func() (bool, string) {
		text, _ := c.Try(t, "systemctl", "show", "--property", "ActiveState", "--value", "dhow-restart")
		return text == "inactive", text
	})
	if state := c.show("ActiveState"); state != "inactive" {
		t.Errorf("the service is %s", state)
	}
	c.has(must("--erase", "dhow"), "dhow: /etc/dhow stays", "dhow: /var/lib/dhow stays")

	step(t, "the older one installed again: it runs, and goes on with the update")
	goOn()
	must("--install", "/srv/dhow.rpm")
	if state := c.show("ActiveState") + " " + c.show("UnitFileState"); state != "active enabled" {
		t.Errorf("the service is %q", state)
	}
	if st := c.settles(time.Minute); st.Release != "1.1.0" {
		t.Errorf("the update that was under way: %+v", st)
	}
	c.runs(version, "the way back")

	step(t, "removed")
	c.has(must("--erase", "dhow"), "dhow: /etc/dhow stays", "dhow: /var/lib/dhow stays")
	if state := c.show("LoadState"); state != "not-found" {
		t.Errorf("the service is %s", state)
	}
	if text, code := c.Try(t, "ls", "-A", "/usr/lib/dhow"); code == 0 {
		t.Errorf("files of the program stay: %s", text)
	}
}
