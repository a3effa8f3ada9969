//go:build e2e

package notice

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// shown is what a desktop was asked to show.
type shown struct {
	App, Icon, Summary, Body string
	Actions                  []string
	Hints                    map[string]dbus.Variant
	Expire                   int32
}

// desk is a desktop of the test: it shows notifications to a channel.
type desk chan shown

// Notify is org.freedesktop.Notifications.Notify.
func (d desk) Notify(app string, _ uint32, icon, summary, body string, actions []string, hints map[string]dbus.Variant, expire int32) (uint32, *dbus.Error) {
	d <- shown{app, icon, summary, body, actions, hints, expire}
	return 1, nil
}

// somebody logs in: a user of the system that is nobody's own, with a real session bus.
func somebody(t *testing.T, run, name string) (uid int, bus string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(run, u.Uid)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	bus = filepath.Join(dir, "bus")
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--address=unix:path="+bus)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("missing: dbus-daemon (Debian package dbus-daemon): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, "the session bus", func() bool {
		c, err := net.Dial("unix", bus)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return uid, bus
}

// sit shows notifications on a bus, as that user.
func sit(t *testing.T, uid int, bus string) desk {
	t.Helper()
	raw, err := connectAs(uid, bus)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.NewConn(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(uid))}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Hello(); err != nil {
		t.Fatal(err)
	}
	d := make(desk, 10)
	if err := conn.Export(d, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	reply, err := conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v, %v", reply, err)
	}
	return d
}

// TestDesktop: root shows a notification to two people on their own session buses, each of which lets in its own user only; somebody without a desktop, a socket
// of another one and a bus that says nothing stop nobody.
func TestDesktop(t *testing.T) {
	run := t.TempDir()
	for dir := run; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	anna, annasBus := somebody(t, run, "games")
	ben, bensBus := somebody(t, run, "www-data")
	somebody(t, run, "news") // a bus without a desktop
	for _, name := range []string{"0", "x", "5000", "99999999999999999999"} {
		dir := filepath.Join(run, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(dir, "bus")) // root's, so that 5000 is not who it says
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	mute, err := user.Lookup("mail")
	if err != nil {
		t.Fatal(err)
	}
	muteUID, err := strconv.Atoi(mute.Uid)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(run, mute.Uid)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := os.Chown(filepath.Join(dir, "bus"), muteUID, -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "bus"), 0o777); err != nil {
		t.Fatal(err)
	}

	desks := []desk{sit(t, anna, annasBus), sit(t, ben, bensBus)}
	c := newClinic("fr")
	c.config.Desktop = true
	teller := c.teller()
	teller.sessions, teller.leastUID, teller.busTime = run, 1, time.Second
	for _, e := range []Event{
		{Kind: RolledBack, From: "1.0.0", To: "1.1.0", Receipt: "KIN-001-0018-R"}, {Kind: Done, From: "1.0.0", To: "1.1.0", Receipt: "KIN-001-0019"},
	} {
		teller.desktop(t.Context(), e)
	}
	for _, d := range desks {
		for _, want := range []string{
			`"Dhow" "dhow" "La mise à jour n’a pas réussi. 1.0.0 fonctionne comme avant et aucune donnée n’est perdue." ` +
				`"Code pour l’assistance : KIN-001-0018-R" [] "dhow" @y 0x2 -1`,
			`"Dhow" "dhow" "C’est fait. 1.1.0 fonctionne." "Reçu KIN-001-0019." [] "dhow" @y 0x1 -1`,
		} {
			select {
			case s := <-d:
				got := fmt.Sprintf("%q %q %q %q %v %s %s %d", s.App, s.Icon, s.Summary, s.Body, s.Actions, s.Hints["desktop-entry"], s.Hints["urgency"], s.Expire)
				if got != want {
					t.Errorf("shown: %s\nwant:  %s", got, want)
				}
			default:
				t.Errorf("nothing was shown of %s", want)
			}
		}
	}
	if log := c.logged(); !strings.Contains(log, `reason="nobody shows notifications there"`) || !strings.Contains(log, "i/o timeout") {
		t.Errorf("the log says\n%s", log)
	}
	// No thread of the agent stays somebody else.
	await(t, "the end of the threads of others", func() bool {
		tasks, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil || len(tasks) == 0 {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if data, err := os.ReadFile(task); err == nil && !strings.Contains(string(data), "\nUid:\t0\t0\t0\t0\n") {
				return false
			}
		}
		return true
	})
	// And nobody gets in as somebody else.
	raw, err := connectAs(ben, bensBus)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := notify(raw, anna, "x", "y", false); err == nil || !strings.HasPrefix(err.Error(), "the session bus does not let us in: ") {
		t.Errorf("as somebody else: %v", err)
	}
}
