//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"dhow/agent/api"
)

// desktop gives the technician a session of a desktop, with the real xdg-utils and a browser that says who has called it, and stays.
func (c *Clinic) desktop() {
	t := c.t
	c.Packages(t)
	c.Run(t, "sh", "-c", "apt-get update -qq && apt-get install -y -qq xdg-utils")
	c.Run(t, "mkdir", "-p", "/usr/share/xsessions")
	c.Run(t, "install", "-d", "-o", "technician", "/home/technician/Desktop", "/run/user/1000")
	c.Write(t, "/usr/local/bin/clinic-browser", `#!/bin/sh
{ env; echo "user $(id -un) $(id -Gn)"; ps -o tty= $$ | sed 's/^/tty /'; echo "address $*"; } >~/opened.tmp 2>&1
mv ~/opened.tmp ~/opened
exec sleep 600
`)
	c.Run(t, "chmod", "755", "/usr/local/bin/clinic-browser")
	c.Write(t, "/usr/share/applications/clinic-browser.desktop", "[Desktop Entry]\nType=Application\nName=Clinic Browser\nExec=clinic-browser %u\nMimeType=x-scheme-handler/http;\n")
	c.Run(t, "su", "technician", "-c", "xdg-mime default clinic-browser.desktop x-scheme-handler/http")
}

// browses looks whether the browser has opened the page, as the technician and in his session, and still runs when install has ended.
func (c *Clinic) browses(address string) {
	t := c.t
	var text string
	c.Wait(t, 20*time.Second, "the browser", func() (ok bool, last string) {
		var code int
		text, code = c.Try(t, "cat", "/home/technician/opened")
		return code == 0, text
	})
	c.has(text, "address "+address+"$", `user technician technician`, `tty \?$`, "HOME=/home/technician$", "DISPLAY=:7$", "XAUTHORITY=/run/user/1000/xauth$", "XDG_RUNTIME_DIR=/run/user/1000$")
	if strings.Contains(text, "SUDO_") {
		t.Errorf("the browser has root's environment:\n%s", text)
	}
	c.Run(t, "pkill", "-u", "technician", "-x", "sleep") // fails when it has gone with install
}

// inTheMiddle repeats the install with another program while an update is under way, in which the engine is slow.
func (c *Clinic) inTheMiddle(program string) {
	t := c.t
	slow := newSlowEngine(t, filepath.Join(c.stick, "engine.sock"))
	c.Run(t, "dhow", "install", "--engine", "unix://"+slow.path)
	status := c.settles(time.Minute)
	to, result := "1.1.0", api.ResultDone
	if status.Release == to {
		to, result = "1.2.0", api.ResultRolledBack // it never works
	}
	pid := c.show("MainPID")
	slow.hold()
	c.Run(t, "systemd-run", "--quiet", "dhow", "update", "--from", c.bundle(to), "--now")
	slow.awaitHeld(time.Minute)
	if result == api.ResultRolledBack {
		if err := os.Remove(filepath.Join(c.stick, "1.2.0.tar")); err != nil {
			t.Fatal(err)
		}
		c.bundle("1.1.0")
	}
	stick := filepath.Join(c.stick, "1.1.0.tar")
	c.Run(t, "systemd-run", "--quiet", "sh", "-c", program+" install --engine unix:///run/docker.sock --from "+stick+" >/run/again 2>&1; echo exit $? >>/run/again")
	said := func(line string) {
		t.Helper()
		c.Wait(t, 2*time.Minute, "install to say "+line, func() (bool, string) {
			text, _ := c.Try(t, "cat", "/run/again")
			return regexp.MustCompile("(?m)^" + line).MatchString(text), text
		})
	}
	said(`waiting   for the end of what is under way: updating, step \d+ of \d+: .*; Ctrl-C gives up\.$`)
	if now := c.show("MainPID"); now != pid || !strings.Contains(c.Run(t, "cat", "/etc/dhow/dhow.yaml"), slow.path) {
		t.Errorf("install did not wait: process %s, was %s", now, pid)
	}
	slow.release()
	said(`service   dhow 1.0.1-e2e is repaired and started$`)
	said(`exit 0$`)
	if st := c.settles(time.Minute); st.LastUpdate == nil || st.LastUpdate.To != to || st.LastUpdate.Result != result || c.show("MainPID") == pid {
		t.Errorf("after the update: %+v %+v", st, st.LastUpdate)
	}
}
