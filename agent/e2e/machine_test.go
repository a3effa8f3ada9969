//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/installer"
	"dhow/installer/systemdtest"
)

// Clinic is a site on a computer of its own, with systemd and without a prefix. Its stack runs on the engine of the tests.
type Clinic struct {
	*systemdtest.Machine
	t     testing.TB
	site  *Site // the stack
	stick string
}

// newClinic makes a computer on which nothing is installed, and a stick with the program and a release for it.
func newClinic(t *testing.T, name string) *Clinic {
	t.Helper()
	s := newSite(t, ledgerCentre(t), name)
	c := &Clinic{t: t, site: s, stick: filepath.Join(s.prefix, "stick")}
	c.bundle("1.0.0")
	c.Machine = systemdtest.Start(t, world.temp)
	c.Put(t, world.dhow, c.stick+"/dhow")
	return c
}

// bundle puts what the site is to run onto the stick.
func (c *Clinic) bundle(release string) string {
	c.t.Helper()
	if err := os.MkdirAll(c.stick, 0o755); err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.stick, release+".tar")
	c.site.centre.pin(c.t, c.site.name, release, folderSource(c.t))
	c.site.centre.must(c.t, "bundle", "create", "--site", c.site.name, "-o", path)
	return path
}

// status asks the agent of the machine.
func (c *Clinic) status() (s api.Status, ok bool) {
	text, code := c.Try(c.t, "dhow", "status", "--json")
	return s, code == 0 && json.Unmarshal([]byte(text), &s) == nil
}

// settles waits until the agent is done with everything, and says what runs.
func (c *Clinic) settles(within time.Duration) (s api.Status) {
	c.t.Helper()
	c.Wait(c.t, within, "the agent to have nothing to do", func() (ok bool, text string) {
		s, ok = c.status()
		return ok && s.State == api.StateIdle && s.Health == "healthy", fmt.Sprintf("%+v", s)
	})
	return s
}

// show asks systemd for a property of the service.
func (c *Clinic) show(property string) string {
	return c.Run(c.t, "systemctl", "show", "--value", "--property", property, installer.Name)
}

// comesBack waits until another process than the one before answers.
func (c *Clinic) comesBack(before string, what string) {
	c.t.Helper()
	c.Wait(c.t, 40*time.Second, "the agent to come back "+what, func() (bool, string) {
		pid := c.show("MainPID")
		_, ok := c.status()
		return ok && pid != before && pid != "0", "process " + pid
	})
}

// loses takes the power away from the machine and from the containers of its stack. When it is back the engine starts those that it is to start
// always, as it does at a boot, before the agent runs.
func (c *Clinic) loses() {
	c.t.Helper()
	c.PowerOff(c.t)
	for _, one := range c.site.containers() {
		if one.State == "running" {
			docker(c.t, "kill", one.ID)
			if one.Restart != "no" {
				docker(c.t, "start", one.ID)
			}
		}
	}
	c.PowerOn(c.t)
}

// has fails the test when text has no line that begins like this.
func (c *Clinic) has(text string, lines ...string) {
	c.t.Helper()
	for _, l := range lines {
		if !regexp.MustCompile("(?m)^" + l).MatchString(text) {
			c.t.Errorf("no line like %q in\n%s", l, text)
		}
	}
}

// TestMachine is the life of a site on a computer with systemd: installed from a stick, killed, hung, without power in the middle of an
// update, repaired, upgraded, removed and installed again.
func TestMachine(t *testing.T) {
	t.Parallel()
	c := newClinic(t, "machine")
	s := c.site
	c.Run(t, "mount", "--make-rshared", "/") // as systemd does where it is not in a container

	step(t, "a port that the release needs is taken: said before anything is written")
	shown := strings.Fields(s.centre.must(t, "root", "show")) // the file, then the fingerprint
	other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	text, code := c.Try(t, c.stick+"/dhow", "install", "--site", s.name, "--from", c.stick, "--project", s.project, "--fingerprint", shown[1], "--set", fmt.Sprintf("LEDGER_PORT=%d", s.port))
	_ = other.Close()
	if code != api.CodeRefused {
		t.Errorf("exit code %d\n%s", code, text)
	}
	c.has(text, fmt.Sprintf(`✗ ports      port %d, which service front publishes, is used by another program`, s.port), `dhow: this computer can't become a site as it is; nothing was done$`)
	if text, code := c.Try(t, "ls", "/etc/dhow", "/var/lib/dhow", "/usr/lib/dhow"); code == 0 || strings.Contains(text, ":\n") {
		t.Errorf("written all the same: %s", text)
	}

	step(t, "installed by somebody at a terminal")
	begun := time.Now()
	install := fmt.Sprintf("sudo %s/dhow install --site %s --from %s --project %s --set LEDGER_PORT=%d", c.stick, s.name, c.stick, s.project, s.port)
	typed := "y\nDr. O'Kemba\ny\n" // the fingerprint, the setting that the release needs, the group
	c.desktop()
	text, code = c.Terminal(t, typed, "su technician -c 'export DISPLAY=:7 XAUTHORITY=/run/user/1000/xauth; "+install+"'")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, text)
	}
	figure(t, "install from a stick to a running release with a backup (ledger): %.1f s", time.Since(begun).Seconds())
	t.Logf("\n%s", text)
	c.has(text, `machine   Debian .* memory, .* free(: good)?$`, `trust     root fingerprint \d{4}-`, `.*clock     .*: good$`, `settings  2 in /etc/dhow/site.env`,
		`.*group     technician may use dhow without sudo`, `service   dhow 1.0.0-e2e is installed and started$`, `page      http://127.0.0.1:8910, and "Dhow"`,
		`release   1.0.0 is running since `, `backup    making the first one$`)
	if got := c.Run(t, "stat", "-c", "%a %U", "/etc/dhow/site.env"); got != "600 root" {
		t.Errorf("site.env: %s", got)
	}
	c.Run(t, "grep", "LEDGER_OWNER=", "/etc/dhow/site.env")
	c.browses("http://127.0.0.1:8910")
	c.Run(t, "test", "-e", installer.LauncherPath, "-a", "-e", installer.IconPath, "-a", "-x", "/home/technician/Desktop/dhow.desktop")
	if got := c.Run(t, "su", "technician", "-c", "dhow status"); !strings.HasPrefix(got, s.name+"   1.0.0") {
		t.Errorf("without sudo: %s", got)
	}
	if list := lines(c.Run(t, "dhow", "backup", "list")); len(list) != 1 || !strings.Contains(list[0], "volume "+s.project+"_ledger-data") {
		t.Errorf("backups: %s", list)
	}
	c.Run(t, "systemctl", "restart", installer.Name) // it says how it is at once, then every half minute
	if state := c.show("ActiveState") + " " + c.show("UnitFileState") + " " + c.show("StatusText"); !regexp.MustCompile(`^active enabled machine: 1\.0\.0, healthy, `).MatchString(state) {
		t.Errorf("the service is %q", state)
	}
	c.logs()
	if text := c.Run(t, "systemd-analyze", "verify", "--man=no", "dhow.service"); text != "" {
		t.Errorf("the unit: %s", text)
	}
	c.Run(t, "mkdir", "-p", "/media/late")
	c.Run(t, "mount", "-t", "tmpfs", "tmpfs", "/media/late")
	if seen := c.Run(t, "cat", "/proc/"+c.show("MainPID")+"/mounts"); !strings.Contains(seen, " /media/late ") {
		t.Errorf("the agent does not see a stick that is plugged in after its start:\n%s", seen)
	}
	c.Run(t, "umount", "/media/late")
	score := c.Run(t, "systemd-analyze", "security", "--no-pager", "dhow.service")
	figure(t, "systemd-analyze security: %s", score[strings.LastIndex(score, "Overall"):])

	step(t, "killed, and hung")
	pid := c.show("MainPID")
	c.Run(t, "kill", "-KILL", pid)
	c.comesBack(pid, "after it was killed")
	c.Write(t, "/etc/systemd/system/dhow.service.d/test.conf", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=2\nRestartSec=100ms\n")
	c.Run(t, "systemctl", "daemon-reload")
	c.Run(t, "systemctl", "restart", installer.Name)
	pid = c.show("MainPID")
	c.Run(t, "kill", "-STOP", pid)
	c.comesBack(pid, "after it hung")
	if log := c.Run(t, "journalctl", "--no-pager", "--unit", installer.Name); !strings.Contains(log, "Watchdog timeout") {
		t.Errorf("the watchdog has not seen it:\n%s", log)
	}

	c.powerCuts()
	c.repairs(install)
	c.removed(install)
}

// logs reads what the service has written, by way of journald: which has taken the priority from the beginning of each line.
func (c *Clinic) logs() {
	t := c.t
	if list := lines(c.Run(t, "dhow", "logs", "-n", "5")); len(list) != 5 {
		t.Errorf("%d of 5 lines: %q", len(list), list)
	}
	c.has(c.Run(t, "dhow", "logs", "-n", "20"), `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info    msg="agent started" `)
	journal := func(priorities string) string {
		return c.Run(t, "journalctl", "--no-pager", "--output=cat", "--identifier=dhow", "--unit", installer.Name, "--priority", priorities)
	}
	c.has(journal("info..info"), `msg="agent started" `)
	if text := journal("emerg..notice") + journal("debug..debug"); strings.Contains(text, "agent started") {
		t.Errorf("the priority is not understood:\n%s", text)
	}
}

// powerCuts takes the power away twice in one update: while the data are at stake, and after the commit.
func (c *Clinic) powerCuts() {
	t := c.t
	step(t, "without power in the middle of an update")
	before := c.site.ledger()
	update := c.bundle("1.1.0")
	c.Write(t, "/etc/systemd/system/dhow.service.d/test.conf",
		"[Service]\nRestartSec=1h\nEnvironment=DHOW_FAULT_DIR=/var/lib/faults DHOW_FAULT=start-release/down:kill,open-doors/before:kill\n")
	c.Run(t, "mkdir", "-p", "/var/lib/faults")
	c.Run(t, "systemctl", "daemon-reload")
	c.Run(t, "systemctl", "restart", installer.Name)
	c.Run(t, "systemd-run", "--quiet", "dhow", "update", "--from", update, "--now")
	for _, where := range []string{"in the middle", "after the commit"} {
		c.Wait(t, time.Minute, "the moment of the power cut "+where, func() (bool, string) {
			state := c.show("ActiveState") + " " + c.show("SubState")
			return state == "activating auto-restart", state
		})
		c.loses()
	}
	status := c.settles(time.Minute)
	after := c.site.ledger()
	switch status.Release {
	case "1.0.0":
		before.same(t, after, "the ledger after the power cuts, gone back")
	case "1.1.0":
		before.after("1.1.0").same(t, after, "the ledger after the power cuts")
	}
	if u := status.LastUpdate; u == nil || u.To != "1.1.0" || u.Result == "" || status.KnownGood != status.Release {
		t.Errorf("the site does not say how it ended: %+v, %+v", status, u)
	}
	if answer := c.site.fetch("/release"); answer != status.Release {
		t.Errorf("users see %q, the site says %q", answer, status.Release)
	}
	c.Run(t, "rm", "-r", "/etc/systemd/system/dhow.service.d")
	c.Run(t, "systemctl", "daemon-reload")
	c.Run(t, "systemctl", "restart", installer.Name)
}

// repairs repeats the install: with nothing to do, with things broken, with a newer program and with an older one.
func (c *Clinic) repairs(install string) {
	t := c.t
	step(t, "repeated, repaired, upgraded")
	c.settles(time.Minute)
	pid := c.show("MainPID")
	c.has(c.Run(t, "sh", "-c", install), `service   it is right, and runs$`)
	if now := c.show("MainPID"); now != pid {
		t.Errorf("an install that had nothing to do has restarted the agent")
	}
	c.Run(t, "rm", "/etc/systemd/system/dhow.service", "/usr/bin/dhow")
	c.Run(t, "chmod", "644", "/etc/dhow/site.env")
	c.Run(t, "rm", "/home/technician/Desktop/dhow.desktop")
	c.Run(t, "mkdir", "-p", "/home/technician/Desktop/dhow.desktop/mine")
	c.has(c.Run(t, "sh", "-c", install+" --user technician"), `service   dhow 1.0.0-e2e is (installed|repaired) and started$`,
		`page      http://127.0.0.1:8910$`, `warning   cannot put the launcher on the desktop of technician: .* The page works at its address all the same\.$`)
	c.Run(t, "rm", "-r", "/home/technician/Desktop/dhow.desktop")
	if got := c.Run(t, "stat", "-c", "%a", "/etc/dhow/site.env") + c.show("UnitFileState") + c.show("ActiveState"); got != "600enabledactive" {
		t.Errorf("after the repair: %s", got)
	}

	// A newer program is this one with another version in it.
	program, err := os.ReadFile(world.dhow)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.stick, "newer"), 0o755); err != nil {
		t.Fatal(err)
	}
	newer := write(t, filepath.Join(c.stick, "newer", "dhow"), bytes.ReplaceAll(program, []byte("1.0.0-e2e"), []byte("1.0.1-e2e")))
	if err := os.Chmod(newer, 0o755); err != nil {
		t.Fatal(err)
	}
	c.inTheMiddle(newer)
	c.has(c.Run(t, "dhow", "version"), `dhow 1\.0\.1-e2e `)
	c.has(c.Run(t, "sh", "-c", install), `program   a newer dhow is here already and stays: 1.0.1-e2e$`, `service   it is right, and runs$`)
}

// removed uninstalls, installs again, and removes everything at last.
func (c *Clinic) removed(install string) {
	t := c.t
	step(t, "removed, and installed again")
	before, ledger := c.settles(time.Minute), c.site.ledger()
	c.has(c.Run(t, "dhow", "uninstall"), `The service is removed\.$`, `  /var/lib/dhow   `, `  /etc/dhow/site.env   `)
	if text, code := c.Try(t, "sh", "-c", "ls /usr/lib/dhow /usr/bin/dhow /etc/systemd/system/dhow.service "+installer.LauncherPath+"; pgrep -x dhow"); code == 0 || strings.Contains(text, "\n/usr") {
		t.Errorf("left behind: %s", text)
	}
	if answer := c.site.fetch("/release"); answer != before.Release {
		t.Errorf("the stack answers %q after dhow has gone", answer)
	}
	c.Run(t, "sh", "-c", install)
	if after := c.settles(time.Minute); after.Release != before.Release || after.LastUpdate == nil || after.LastUpdate.ID != before.LastUpdate.ID {
		t.Errorf("installed again: %+v, was %+v", after, before)
	}
	ledger.same(t, c.site.ledger(), "the ledger after dhow was installed again")

	if text, code := c.Try(t, "dhow", "uninstall", "--data"); code != api.CodeNotConfirmed {
		t.Errorf("told once: exit code %d\n%s", code, text)
	}
	if text, code := c.Try(t, "dhow", "uninstall", "--data", "--confirm", "other"); code != api.CodeNotConfirmed {
		t.Errorf("another name: exit code %d\n%s", code, text)
	}
	ledger.same(t, c.site.ledger(), "the ledger after nobody has confirmed")
	c.Run(t, "dhow", "uninstall", "--data", "--confirm", c.site.name)
	if left := lines(docker(t, "volume", "ls", "-q", "--filter", "name="+c.site.project+"_")); len(left)+len(c.site.containers()) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if text, code := c.Try(t, "ls", "/var/lib/dhow", "/etc/dhow"); code == 0 || strings.Contains(text, ":\n") {
		t.Errorf("left behind: %s", text)
	}
}
