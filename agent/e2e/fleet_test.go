//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dhow/agent/api"
)

// variables are what a service sees of some names.
func (s *Site) variables(service string, names ...string) map[string]string {
	s.t.Helper()
	ids := s.docker("ps", "-q", "--filter", "label=com.docker.compose.project="+s.project, "--filter", "label=com.docker.compose.service="+service)
	var env []string
	if err := json.Unmarshal([]byte(s.docker("inspect", "-f", "{{json .Config.Env}}", ids)), &env); err != nil {
		s.t.Fatal(err)
	}
	found := map[string]string{}
	for _, line := range env {
		if name, value, _ := strings.Cut(line, "="); slices.Contains(names, name) {
			found[name] = value
		}
	}
	return found
}

// TestFleet does to a site what fleet.yaml can: settings, a line, a hold, and the way back, as far as the releases permit it.
func TestFleet(t *testing.T) {
	t.Parallel()
	c := newCentre(t, ledgerStack)
	source := folderSource(t)
	release := func(version, tag, rule string) {
		file := c.file(t, "fleet-"+version+".yaml", fmt.Sprintf(`services:
  ledger:
    environment: {CLINIC: "${CLINIC:-nowhere}", LANGUAGE: "${LANGUAGE:-en}", PAPER: "${PAPER:-A4}", COLOUR: "${COLOUR:-blue}", BUILD: "%s"}
x-dhow:
  rollback: {data: %s}
  notes: {en: "News of %[1]s", fr: "Du nouveau en %[1]s"}
`, version, rule))
		c.release(t, version, tag, "-f", file)
	}
	release("1.0.0", "1.0.0", "keep")
	release("1.0.1", "1.0.0", "keep")
	publish := func() { t.Helper(); c.must(t, "publish", "--to", source) }

	step(t, "settings of the ring and of the site")
	c.must(t, "pin", "1.0.0", "--ring", "pilot")
	c.must(t, "ring", "set", "pilot", "--set", "CLINIC=pilot", "--set", "LANGUAGE=fr", "--set", "PAPER=Letter")
	s := newSite(t, c, "fleet")
	s.programs = map[string]string{"1.0.1": "1.0.0", "1.0.2": "1.0.0"}
	c.must(t, "site", "set", s.name, "--set", "CLINIC=Kinshasa 3")
	publish()
	s.install(source, "--set", "PAPER=A5")
	s.must("update", "--now")
	s.sane("1.0.0")
	want := map[string]string{"CLINIC": "Kinshasa 3", "LANGUAGE": "fr", "PAPER": "A5", "COLOUR": "blue"}
	if got := s.variables("ledger", "CLINIC", "LANGUAGE", "PAPER", "COLOUR"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the service sees %v, want %v", got, want)
	}

	step(t, "a line")
	c.must(t, "pin", "1.0.x", "--ring", "pilot")
	publish()
	mentions(t, s.must("update", "--now"), "News of 1.0.1")
	s.sane("1.0.1")
	before := s.ledger()

	step(t, "a hold, while the line goes on")
	release("1.0.2", "1.0.0", "keep")
	c.must(t, "hold", s.name, "--reason", "stock-taking")
	publish()
	mentions(t, s.must("update", "--now"), "On hold: stock-taking")
	s.sane("1.0.1")
	c.must(t, "release-hold", s.name)
	publish()
	s.must("update", "--now")
	s.sane("1.0.2")

	step(t, "the previous one")
	r := c.run(t, "pin", "previous", "--ring", "pilot")
	if r.Code != api.CodeRefused {
		t.Errorf("a way back without a word: %s", r)
	}
	if out := c.must(t, "pin", "previous", "--ring", "pilot", "--allow-downgrade"); !strings.Contains(out, "1 × 1.0.2 → 1.0.1 (back, keeping the data)") {
		t.Errorf("the effect is not told:\n%s", out)
	}
	publish()
	s.must("update", "--now")
	s.sane("1.0.1")
	before.same(t, s.ledger(), "the ledger after going back by a pin")
	if u := s.last(); u.From != "1.0.2" || u.To != "1.0.1" || u.Result != api.ResultDone || u.Backup == "" {
		t.Errorf("history: %+v", u)
	}
	publish() // it is still the same one
	mentions(t, s.must("update", "--now"), "Up to date: 1.0.1 is running")

	step(t, "no way back where a release does not permit it")
	release("1.1.0", "1.1.0", "restore")
	c.must(t, "pin", "1.1.0", "--ring", "pilot")
	publish()
	s.must("update", "--now")
	s.sane("1.1.0")
	before.after("1.1.0").same(t, s.ledger(), "the ledger of 1.1.0")
	if out := c.must(t, "pin", "1.0.2", "--ring", "pilot", "--allow-downgrade"); !strings.Contains(out, "where 1.1.0 runs, it stays (fleet)") {
		t.Errorf("nobody is warned:\n%s", out)
	}
	publish()
	s.refusesBefore("1.1.0", "1.1.0 stays", "a pin can't take a site back from 1.1.0 to 1.0.2",
		"release 1.1.0 says that an older one needs the data from before it", "dhow rollback --to 1.0.2")
	before.after("1.1.0").same(t, s.ledger(), "the ledger after the refusal")
}
