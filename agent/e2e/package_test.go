//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
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

// allowed is the file in the ledger that lets an update of heldCentre go on.
const allowed = "allowed.entry"

var (
	heldOnce   sync.Once
	heldShared *Centre
)

// heldCentre is a centre whose second release is only good when somebody has allowed it; it is made once.
func heldCentre(t *testing.T) *Centre {
	t.Helper()
	heldOnce.Do(func() {
		c := newCentre(t, ledgerStack)
		c.release(t, "1.0.0", "1.0.0")
		c.release(t, "1.1.0", "1.1.0", "-f", c.file(t, "held.yaml", `x-dhow:
  checks:
    - {name: somebody has allowed it, http: "http://ledger:8080/checksum", contains: "file `+allowed+`", within: 5m}
`))
		heldShared = c
	})
	if heldShared == nil {
		t.Fatal("the shared centre could not be made; see the other test that needs it")
	}
	return heldShared
}

// held waits until the update to 1.1.0 is in the middle; what it returns lets it go on.
func (c *Clinic) held() (goOn func()) {
	c.t.Helper()
	c.Wait(c.t, time.Minute, "the update to be in the middle", func() (bool, string) {
		st, ok := c.status()
		return ok && st.State == api.StateUpdating && st.Step == "check-health", fmt.Sprintf("%+v", st)
	})
	return func() { write(c.t, filepath.Join(c.site.volume("ledger-data"), allowed), []byte("yes")) }
}

// program is the version of the program in place.
func (c *Clinic) program() string {
	c.t.Helper()
	return strings.Fields(c.Run(c.t, installer.Program, "version"))[1]
}

// putAhead puts a program into the place that is newer than a version, as the agent does by itself.
func (c *Clinic) putAhead(version string) string {
	c.t.Helper()
	ahead := regexp.MustCompile(`^(\d+\.\d+)\.\d`).ReplaceAllString(version, "$1.9")
	c.Run(c.t, "sh", "-euc", `cd /usr/lib/dhow; sed "s/$1/$2/g" dhow >.dhow.new; chmod 755 .dhow.new; mv .dhow.new dhow; systemctl try-restart dhow`,
		"sh", regexp.QuoteMeta(version), ahead)
	return ahead
}

// runs expects the agent, and the program in place, to be of a version.
func (c *Clinic) runs(version, what string) {
	c.t.Helper()
	if st, ok := c.status(); !ok || st.Agent == nil || st.Agent.Version != version || c.program() != version {
		c.t.Errorf("after %s: the agent is %+v, the program in place %s; want %s", what, st.Agent, c.program(), version)
	}
}

// TestPackages is the life of the Debian package on a computer with systemd: installed, made a site from a stick with FAT on which nothing
// can be run, upgraded while an update is under way, while nothing is, and over a newer program, removed, installed again, uninstalled, purged.
func TestPackages(t *testing.T) {
	t.Parallel()
	deb := theOnly(t, filepath.Join(dist(t), "dhow_*.deb"))
	s := newSite(t, heldCentre(t), "package")
	s.centre.pin(t, s.name, "1.0.0", folderSource(t))
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
	pid, before := c.show("MainPID"), s.ledger()
	update := filepath.Join(s.prefix, "1.1.0.tar")
	s.centre.pin(t, s.name, "1.1.0", folderSource(t))
	s.centre.must(t, "bundle", "create", "--site", s.name, "-o", update)
	c.Run(t, "systemd-run", "--quiet", "dhow", "update", "--from", update, "--now")
	goOn := c.held()
	c.Run(t, "dpkg", "--install", "/srv/newer.deb")
	if now := c.show("MainPID"); now != pid {
		t.Errorf("the agent was restarted: %s, before %s", now, pid)
	}
	if text, code := c.Try(t, "dpkg", "--remove", "dhow"); code == 0 || !strings.Contains(text, "an update or a backup is under way") || c.show("MainPID") != pid {
		t.Errorf("removed while something is under way: %d %s", code, text)
	}
	goOn()
	c.comesBack(pid, "when nothing is under way any more")
	if st := c.settles(time.Minute); st.Release != "1.1.0" || st.LastUpdate == nil || st.LastUpdate.Result != api.ResultDone {
		t.Errorf("the update that was under way: %+v, %+v", st, st.LastUpdate)
	}
	after := s.ledger()
	delete(after, allowed)
	before.after("1.1.0").same(t, after, "the ledger after the update")

	step(t, "an older program than the one that is in place, and no power after it was unpacked")
	version := c.program()
	ahead := c.putAhead(version)
	c.Run(t, "dpkg", "--unpack", "/srv/newer.deb")
	c.loses()
	c.settles(time.Minute)
	c.runs(ahead, "the power cut")
	pid = c.show("MainPID")
	c.has(c.Run(t, "dpkg", "--configure", "--pending"),
		regexp.QuoteMeta("dhow "+ahead+" is here, newer than "+version+" of this package, and stays. To go back on purpose: sudo apt remove dhow, then install this package again.")+"$")
	c.comesBack(pid, "at an upgrade while nothing is under way")
	c.runs(ahead, "the package was configured")

	step(t, "removed: the stack goes on running, the data stay; installed again: as before, on purpose with the older program")
	c.Run(t, "dpkg", "--remove", "dhow")
	if state := c.show("ActiveState"); state != "inactive" {
		t.Errorf("the service is %s", state)
	}
	if answer := s.fetch("/release"); answer != "1.1.0" {
		t.Errorf("users see %q", answer)
	}
	if text, code := c.Try(t, "ls", "-A", "/usr/lib/dhow"); code == 0 {
		t.Errorf("files of the program stay: %s", text)
	}
	c.Run(t, "dpkg", "--install", "/srv/dhow.deb")
	if st := c.settles(time.Minute); st.Release != "1.1.0" || st.Site != s.name {
		t.Errorf("installed again: %+v", st)
	}
	c.runs(version, "the removal")
	c.Run(t, "test", installer.Program, "-ef", installer.Packaged)

	step(t, "uninstalled: the package's files stay, and what removes them is named")
	c.has(c.Run(t, "dhow", "uninstall"), `The service is removed\.$`, `Program and launcher belong to a package\. To remove them: sudo apt remove dhow$`)
	if state := c.show("ActiveState") + " " + c.show("UnitFileState"); state != "inactive disabled" {
		t.Errorf("the service is %q", state)
	}
	c.Run(t, "sh", "-c", `for f in $(dpkg --listfiles dhow); do case $f in /usr/share/doc* | /usr/share/man*) ;; *) ls -d "$f" ;; esac; done; dhow version`)

	step(t, "purged: what belongs to the patients stays, and is named")
	text = c.Run(t, "dpkg", "--purge", "dhow")
	c.has(text, "dhow: /etc/dhow stays", "dhow: /var/lib/dhow stays")
	c.Run(t, "test", "-s", "/etc/dhow/dhow.yaml", "-a", "-s", "/etc/dhow/site.env", "-a", "-d", "/var/lib/dhow")
	if state := c.show("LoadState"); state != "not-found" {
		t.Errorf("the service is %s", state)
	}

	step(t, "installed again after that: it stays switched off, and says so")
	c.has(c.Run(t, "dpkg", "--install", "/srv/dhow.deb"), `dhow: the agent is switched off; to switch it on: sudo dhow install$`)
	if state := c.show("ActiveState"); state != "inactive" {
		t.Errorf("the service is %s", state)
	}

	step(t, "a service from a stick that outlives the program is not started again and again")
	c.Run(t, "sh", "-euc", "cp /usr/lib/systemd/system/dhow.service /etc/systemd/system; systemctl daemon-reload; systemctl enable dhow")
	c.Run(t, "dpkg", "--remove", "dhow")
	c.Try(t, "systemctl", "start", "dhow")
	if state := c.show("ActiveState") + " " + c.show("ConditionResult"); state != "inactive no" {
		t.Errorf("the service is %q", state)
	}
}
