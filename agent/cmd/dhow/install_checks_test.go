package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/words"
	"dhow/manifest"
)

// unborn is a computer on which nothing is installed, with an engine that has said this.
func unborn(t *testing.T, config *site.Config, info engine.Info) (*shell, *patient, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	s := &shell{words: words.For("en"), prefix: filepath.Join(t.TempDir(), "none"), out: &out}
	p := s.newPatient(s.paths(), config)
	docker, err := engine.Connect("unix:///nobody")
	if err != nil {
		t.Fatal(err)
	}
	p.looked.Do(func() { p.seen = &stackSeen{docker: docker, info: info} })
	return s, p, &out
}

// TestInstallRefuses holds computers against the checks: nothing could work on some of them, and others only want a word.
func TestInstallRefuses(t *testing.T) {
	unfit := func(t *testing.T, err error, want bool) {
		t.Helper()
		if (err != nil) != want || want && (api.Code(err) != api.CodeRefused || err.Error() != "this computer can't become a site as it is; nothing was done") {
			t.Errorf("it ended with %v", err)
		}
	}
	t.Run("an engine that is too old", func(t *testing.T) {
		s, p, out := unborn(t, &site.Config{Site: "kin-001"}, engine.Info{Version: "1.13.1", API: "1.26", Platform: "linux/amd64"})
		unfit(t, s.examineMachine(t.Context(), p, site.Endpoint{}), true)
		want := "✗ engine     Docker 1.13.1 is too old: it speaks API 1.26, and 1.41 is needed\n             remedy: install Docker 20.10 or newer\n"
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), ": good") {
			t.Errorf("said:\n%s", out)
		}
	})
	t.Run("nobody answers on the line", func(t *testing.T) {
		s, p, out := unborn(t, &site.Config{Site: "kin-001", Sources: []string{"oci://no.such.host.invalid/emr"}}, engine.Info{})
		s.examineWay(t.Context(), p, ahead{})
		if text := out.String(); strings.Contains(text, "✗") || !regexp.MustCompile(`(?m)^! dns        .*no\.such\.host\.invalid`).MatchString(text) || strings.Contains(text, "! source") {
			t.Errorf("said:\n%s", text)
		}
	})
	t.Run("a stick is the only source", func(t *testing.T) {
		s, p, out := unborn(t, &site.Config{Site: "kin-001"}, engine.Info{})
		s.examineWay(t.Context(), p, ahead{})
		if strings.Contains(out.String(), "source") {
			t.Errorf("said:\n%s", out)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := uint16(l.Addr().(*net.TCPAddr).Port)
	for _, atOnce := range []bool{true, false} {
		t.Run(fmt.Sprintf("a port of the release is taken, at once %v", atOnce), func(t *testing.T) {
			s, p, out := unborn(t, &site.Config{Site: "kin-001"}, engine.Info{})
			p.doors = []door{{"gateway", taken}}
			unfit(t, s.examineDoors(t.Context(), p, atOnce), atOnce)
			want := fmt.Sprintf("✗ ports      port %d, which service gateway publishes, is used by another program: ", taken)
			if !strings.HasPrefix(out.String(), want) || !strings.Contains(out.String(), fmt.Sprintf("(%d)\n", os.Getpid())) {
				t.Errorf("said:\n%s", out)
			}
		})
	}
	t.Run("the page of the agent has a port of the release, as long as the site is stuck", func(t *testing.T) {
		s, p, out := unborn(t, &site.Config{Site: "kin-001"}, engine.Info{})
		if err := os.MkdirAll(filepath.Dir(p.paths.Socket()), 0o755); err != nil {
			t.Fatal(err)
		}
		agent, err := net.Listen("unix", p.paths.Socket())
		if err != nil {
			t.Fatal(err)
		}
		defer agent.Close()
		p.doors = []door{{"gateway", taken}}
		unfit(t, s.examineDoors(t.Context(), p, true), false)
		if out.Len() > 0 {
			t.Errorf("said:\n%s", out)
		}
	})
}

// TestRemedyForEngine: to start an engine that hangs does nothing.
func TestRemedyForEngine(t *testing.T) {
	for verb, err := range map[string]error{
		" restart ": fmt.Errorf("cannot reach the engine: %w: %w", engine.ErrNotRunning, context.DeadlineExceeded),
		" start ":   fmt.Errorf("cannot reach the engine: %w", engine.ErrNotRunning),
	} {
		s, p, out := unborn(t, &site.Config{Site: "kin-001"}, engine.Info{})
		p.seen.err = err
		s.tellFindings(examine(t.Context(), p, ofMachine))
		if text := out.String(); !regexp.MustCompile(`✗ engine .*\n +remedy: .*` + verb + `docker\n`).MatchString(text) {
			t.Errorf("%v is told with:\n%s", err, text)
		}
	}
}

// TestInstallForNobody: a name that is mistyped is told before anything is looked at or changed.
func TestInstallForNobody(t *testing.T) {
	s, _, out := unborn(t, &site.Config{}, engine.Info{})
	err := s.install(t.Context(), installation{user: "no-such-person"})
	if api.Code(err) != api.CodeUsage || err.Error() != `this computer has no user "no-such-person"; nothing was done` || out.Len() > 0 {
		t.Errorf("it ended with %v\n%s", err, out)
	}
}

// TestDoorsAhead names the ports of a release by the variables of the release, of the fleet and of the site, the last of which wins.
func TestDoorsAhead(t *testing.T) {
	r := &manifest.Release{
		Project: "emr", Variables: map[string]string{"A": "81", "B": "82", "C": "83"},
		Ports: []manifest.Port{
			{Service: "a", Published: "${A}", Protocol: "tcp"},
			{Service: "b", Published: "${B}", Protocol: "tcp"},
			{Service: "c", Published: "${C}", Protocol: "tcp"},
			{Service: "d", Published: "${D:-84}", Protocol: "tcp"},
			{Service: "e", Published: "${E:?it has none}", Protocol: "tcp"},
			{Service: "f", Published: "8000-8010", Protocol: "tcp"},
			{Service: "g", Published: "85", Protocol: "udp"},
			{Service: "h", Published: "", Protocol: "tcp"},
			{Service: "i", Published: "86", Protocol: "tcp"},
		},
	}
	containers := []engine.Container{{Ports: []engine.Port{{Protocol: "tcp", HostPort: 86}}}}
	next := ahead{release: r, given: map[string]string{"B": "182", "C": "183"}}
	got := fmt.Sprint(next.doors(containers, map[string]string{"C": "283"}))
	if want := "[{a 81} {b 182} {c 283} {d 84}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSameSocket: /var/run is a link to /run, so one engine has two addresses.
func TestSameSocket(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{os.Mkdir(filepath.Join(dir, "run"), 0o755), os.Symlink("run", filepath.Join(dir, "var")), os.WriteFile(filepath.Join(dir, "run", "docker.sock"), nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	here := "unix://" + filepath.Join(dir, "run", "docker.sock")
	for other, want := range map[string]bool{
		here: true, "unix://" + filepath.Join(dir, "var", "docker.sock"): true, "unix://" + filepath.Join(dir, "docker.sock"): false, "tcp://127.0.0.1:2375": false,
	} {
		if got := sameSocket(here, other); got != want {
			t.Errorf("%s and %s: %v", here, other, got)
		}
	}
}
