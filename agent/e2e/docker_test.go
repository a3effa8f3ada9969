//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/installer/systemdtest"
)

// TestDockerToo makes a site of a computer that has no engine: install brings that of the distribution, with apt-get, and the first release runs
// on it, also after the power was away.
func TestDockerToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, ledgerCentre(t), "bare")
	c := &Clinic{t: t, site: s, stick: filepath.Join(s.prefix, "stick")}
	c.bundle("1.0.0")
	if err := os.Link(world.dhow, filepath.Join(c.stick, "dhow")); err != nil {
		t.Fatal(err)
	}
	c.Machine = systemdtest.StartAlone(t, c.stick)
	shown := strings.Fields(s.centre.must(t, "root", "show")) // the file, then the fingerprint
	install := fmt.Sprintf("%s/dhow install --site %s --from %s --fingerprint %s --set LEDGER_OWNER=x --set LEDGER_PORT=%d", c.stick, s.name, c.stick, shown[1], s.port)

	step(t, "without packages: told, and nothing done")
	c.Run(t, "sh", "-c", "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")
	text, code := c.Try(t, "sh", "-c", install)
	if code != api.CodeRefused || !strings.Contains(text, "dhow: the Docker Engine does not answer\n") || !strings.Contains(text, "--with-docker") {
		t.Errorf("nobody has asked for it: exit code %d\n%s", code, text)
	}
	text, code = c.Try(t, "sh", "-c", install+" --with-docker")
	if code != api.CodeRefused || !strings.Contains(text, "dhow: cannot install the Docker Engine: apt-get install ") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	if text, code := c.Try(t, "ls", "/etc/dhow", "/var/lib/dhow", "/usr/lib/dhow"); code == 0 || strings.Contains(text, ":\n") {
		t.Errorf("written all the same: %s", text)
	}

	step(t, "installed by somebody at a terminal, with the engine")
	c.Packages(t)
	begun := time.Now()
	text, code = c.Terminal(t, "y\ny\n", "su technician -c 'sudo "+install+"'") // the engine, the group
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, text)
	}
	figure(t, "install from a stick with the engine of the distribution to a running release (ledger): %.1f s", time.Since(begun).Seconds())
	t.Logf("\n%s", text)
	c.has(text, `The Docker Engine does not answer\. Install or start the one of this distribution\? \[y/N\] `, `.*engine    installing and starting the Docker Engine of this distribution$`,
		`machine   Debian .*, Docker 20\.10\.\S+, .* free(: good)?$`, `service   dhow 1.0.0-e2e is installed and started$`, `release   1.0.0 is running since `)
	if got := c.Run(t, "systemctl", "is-enabled", "docker"); got != "enabled" {
		t.Errorf("the engine is %s", got)
	}
	c.settles(time.Minute)
	c.answers("1.0.0")

	step(t, "the power fails: engine, agent and release come back")
	c.PowerCut(t)
	c.settles(2 * time.Minute)
	c.answers("1.0.0")
	c.Run(t, "dhow", "uninstall", "--data", "--confirm", s.name)
	if left := c.Run(t, "docker", "ps", "--all", "--quiet"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// answers asks the stack from inside the machine.
func (c *Clinic) answers(release string) {
	c.t.Helper()
	line := fmt.Sprintf(`exec 3<>/dev/tcp/127.0.0.1/%d; printf 'GET /release HTTP/1.0\r\n\r\n' >&3; cat <&3`, c.site.port)
	if text := c.Run(c.t, "bash", "-c", line); !strings.HasPrefix(text, "HTTP/1.0 200 OK") || !strings.HasSuffix(text, "\n"+release) {
		c.t.Errorf("users see %q, not %s", text, release)
	}
}
