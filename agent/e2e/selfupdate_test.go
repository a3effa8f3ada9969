//go:build e2e

package e2e

import (
	"bytes"
	"debug/elf"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/installer"
	"dhow/installer/systemdtest"
	"dhow/manifest/program"
)

// patched is the program of the tests with another version in it.
func patched(t *testing.T, version string) []byte {
	t.Helper()
	data, err := os.ReadFile(world.dhow)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(data, []byte("1.0.0-e2e"), []byte(version))
}

// crasher is a program that crashes at start.
func crasher(t *testing.T, version string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "crasher")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version="+version, "-o", out, "./crasher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// loaderless is a program of this machine that asks for a loader which is nowhere.
func loaderless(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			data[p.Off+1] = 'X'
			return data
		}
	}
	t.Fatal("/bin/true needs no loader")
	return nil
}

// agent adds a version of the agent, pins it and publishes it to where.
func (c *Clinic) agent(version string, content []byte, where string, more ...string) {
	c.t.Helper()
	path := write(c.t, filepath.Join(c.stick, "agent-"+version), content)
	c.t.Log(c.site.centre.must(c.t, append([]string{"agent", "add", version, "--platform", program.Here() + "=" + path}, more...)...))
	c.t.Log(c.site.centre.must(c.t, "agent", "pin", version))
	c.t.Log(c.site.centre.must(c.t, "publish", "--to", where))
	c.Try(c.t, "dhow", "update") // looks for news
}

// tried waits until a version was tried, and says how that ended.
func (c *Clinic) tried(version string) (line api.Update, s api.Status) {
	c.t.Helper()
	c.Wait(c.t, 90*time.Second, "agent "+version+" to be tried", func() (ok bool, text string) {
		history, code := c.Try(c.t, "dhow", "history")
		for _, l := range lines(history) {
			if strings.Contains(l, "→ "+version) {
				text = l
			}
		}
		s, ok = c.status()
		return code == 0 && text != "" && ok && s.Agent != nil && !s.Agent.Trial, history + fmt.Sprintf("\n%+v", s.Agent)
	})
	text := c.Run(c.t, "dhow", "history")
	c.t.Logf("\n%s", text)
	for _, l := range lines(text) {
		if strings.Contains(l, "→ "+version) {
			line.Reason = l
		}
	}
	return line, s
}

// TestAgentUpdatesItself lets a site on a computer with systemd try new programs of the agent: one that crashes at start, one that can't be
// executed, and a good one in whose trial the power fails. A stack update goes on as ever.
func TestAgentUpdatesItself(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, ledgerStack)
	centre.release(t, "1.0.0", "1.0.0")
	centre.release(t, "1.1.0", "1.1.0")
	s := newSite(t, centre, "heal")
	c := &Clinic{t: t, site: s, stick: filepath.Join(s.prefix, "stick")}
	source := folderSource(t)
	web := httptest.NewServer(http.FileServer(http.Dir(source))) // as a line, so that deltas count
	t.Cleanup(web.Close)
	if err := os.MkdirAll(c.stick, 0o755); err != nil {
		t.Fatal(err)
	}
	base := write(t, filepath.Join(c.stick, "agent-1.0.0-e2e"), patched(t, "1.0.0-e2e"))
	centre.must(t, "agent", "add", "1.0.0-e2e", "--platform", program.Here()+"="+base)
	c.bundle("1.0.0")
	centre.must(t, "publish", "--to", source)
	c.Machine = systemdtest.Start(t, world.temp)
	c.Put(t, world.dhow, c.stick+"/dhow")
	closed := time.Now().Add(6 * time.Hour)
	c.Run(t, "sh", "-c", fmt.Sprintf(
		"%s/dhow install --yes --site %s --source %s --root %s --project %s --from %s/1.0.0.tar --set LEDGER_PORT=%d --set LEDGER_OWNER=Kemba --backup never --window %s-%s",
		c.stick, s.name, web.URL, centre.root(), s.project, c.stick, s.port, closed.Format("15:04"), closed.Add(time.Minute).Format("15:04")))
	if st := c.settles(time.Minute); st.Release != "1.0.0" || st.Agent == nil || st.Agent.Version != "1.0.0-e2e" {
		t.Fatalf("installed: %+v %+v", st, st.Agent)
	}
	ledger, pid := s.ledger(), c.show("MainPID")

	step(t, "one that crashes at start")
	c.agent("1.2.0", crasher(t, "1.2.0"), source, "--no-deltas")
	line, st := c.tried("1.2.0")
	if !strings.Contains(line.Reason, "rolled back") || !strings.Contains(line.Reason, "no such table: changes") || st.Agent.Version != "1.0.0-e2e" ||
		!strings.HasPrefix(st.Agent.Trouble, "agent 1.2.0 did not work here on ") || len(st.Warnings) == 0 {
		t.Errorf("%s\n%+v %q", line.Reason, st.Agent, st.Warnings)
	}

	step(t, "one that can't be executed")
	c.agent("1.3.0", loaderless(t), source, "--no-deltas")
	line, st = c.tried("1.3.0")
	if !strings.Contains(line.Reason, "refused") || !strings.Contains(line.Reason, "no such file or directory") || st.Agent.Version != "1.0.0-e2e" {
		t.Errorf("%s\n%+v", line.Reason, st.Agent)
	}

	step(t, "a good one, without power in its trial")
	c.agent("1.4.0-e2e", patched(t, "1.4.0-e2e"), source, "--deltas-from", "1.0.0-e2e")
	c.Wait(t, time.Minute, "its trial", func() (bool, string) {
		st, ok := c.status()
		return ok && st.Agent != nil && st.Agent.Trial && st.Agent.Version == "1.4.0-e2e", fmt.Sprintf("%+v", st.Agent)
	})
	if text, code := c.Try(t, "dhow", "update"); code != api.CodeBusy {
		t.Errorf("an order in its trial: %d %s", code, text)
	}
	c.PowerCut(t)
	line, st = c.tried("1.4.0-e2e")
	if !strings.Contains(line.Reason, "done") || st.Agent.Version != "1.4.0-e2e" || st.Agent.Wanted != "" || st.Agent.Trouble != "" {
		t.Errorf("%s\n%+v", line.Reason, st.Agent)
	}
	c.has(c.Run(t, "dhow", "version"), `dhow 1\.4\.0-e2e `)
	if state := c.show("ActiveState") + c.show("NRestarts"); state != "active0" {
		t.Errorf("the service is %s; it was process %s", state, pid)
	}
	var fetched int64
	for _, l := range lines(c.Run(t, "journalctl", "--no-pager", "--unit", installer.Name)) {
		if _, n, ok := strings.Cut(l, "agent fetched\" version=1.4.0-e2e bytes="); ok {
			_, _ = fmt.Sscan(n, &fetched)
		}
	}
	figure(t, "self-update of the agent by a delta: %d bytes", fetched)
	if fetched == 0 || fetched > 100_000 {
		t.Errorf("%d bytes were fetched of a program that differs in its version", fetched)
	}
	ledger.same(t, s.ledger(), "the ledger after three agents")

	step(t, "the new agent updates the stack")
	centre.pin(t, s.name, "1.1.0", source)
	c.Run(t, "dhow", "update", "--now")
	if st := c.settles(time.Minute); st.Release != "1.1.0" || st.LastUpdate == nil || st.LastUpdate.Result != api.ResultDone {
		t.Errorf("after the update: %+v", st)
	}
	ledger.after("1.1.0").same(t, s.ledger(), "the ledger after the update")
}
