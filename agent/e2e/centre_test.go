//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/manifest"
)

// Centre is a central team: a fleet folder and dhowctl. Its methods may be called from several tests at once.
type Centre struct {
	mu    sync.Mutex
	dir   string // the fleet's folder
	emr   string // its compose files
	stack Stack
	// deltas lets it make deltas: that takes a minute for each version of a stack, and most tests are about something else.
	deltas bool
	spent  time.Duration // of a processor, by dhowctl
}

// Stack is one of the test stacks.
type Stack struct {
	name     string   // folder below agent/e2e
	files    []string // compose files
	port     string   // setting that holds the published port
	settings map[string]string
	services []string
	entry    string
	delta    string // the service whose image has deltas from the first release to the second
}

var (
	clinicStack = Stack{
		name: "clinic", files: []string{"compose.yaml", "checks.yaml"}, port: "GATEWAY_PORT", services: []string{"backend", "db", "gateway"}, entry: "gateway",
		delta:    "backend",
		settings: map[string]string{"OMRS_DB_PASSWORD": "s3'cret of #1", "MYSQL_ROOT_PASSWORD": "r00t$ecret"},
	}
	ledgerStack = Stack{
		name: "ledger", files: []string{"compose.yaml"}, port: "LEDGER_PORT", services: []string{"front", "ledger"}, entry: "front",
		settings: map[string]string{"LEDGER_OWNER": "Dr. O'Kemba"},
	}
	hospitalStack = Stack{
		name: "hospital", files: []string{"compose.yaml"}, port: "HOSPITAL_PORT", entry: "front",
		services: []string{"front", "ledger", "openmrsdb", "reportsdb", "odoodb", "openelisdb"},
		settings: map[string]string{
			"OPENMRS_ROOT_PASSWORD": `r"00t'$ \ #1`, "REPORTS_ROOT_PASSWORD": "reports", "ODOO_PASSWORD": `o"d'oo \ $x`, "OPENELIS_PASSWORD": "lims",
		},
	}
)

// folder is what a central team has before it knows Dhow: compose file and configuration.
func (s Stack) folder() string { return filepath.Join(world.source, s.name, "stack") }

// newCentre makes a fleet.
func newCentre(t testing.TB, stack Stack) *Centre {
	t.Helper()
	dir, err := os.MkdirTemp(world.temp, "fleet-")
	if err != nil {
		t.Fatal(err)
	}
	c := &Centre{dir: filepath.Join(dir, "fleet"), emr: filepath.Join(dir, stack.name), stack: stack}
	if err := os.CopyFS(c.emr, os.DirFS(stack.folder())); err != nil {
		t.Fatal(err)
	}
	r := command(t, dir, c.env(), world.dhowctl, "init", "fleet", "--name", "dhow-e2e-"+stack.name)
	if r.Code != 0 {
		t.Fatal(r)
	}
	c.must(t, "ring", "add", "pilot")
	return c
}

func (c *Centre) env() []string { return []string{"DHOWCTL_PASSPHRASE=correct horse battery"} }

// run calls dhowctl in the fleet's folder.
func (c *Centre) run(t testing.TB, args ...string) Result {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deltas && (args[0] == "publish" || len(args) > 1 && args[0] == "release" && args[1] == "create") {
		args = append(slices.Clone(args), "--no-deltas")
	}
	r := command(t, c.dir, c.env(), world.dhowctl, append([]string{"-C", c.dir}, args...)...)
	c.spent += r.Work
	return r
}

// must calls dhowctl and fails the test when it fails.
func (c *Centre) must(t testing.TB, args ...string) string {
	t.Helper()
	r := c.run(t, args...)
	if r.Code != 0 {
		t.Fatal(r)
	}
	return r.Text()
}

// release makes a release of the stack, whose images have the given tag. More arguments go to dhowctl as they are.
func (c *Centre) release(t testing.TB, version, tag string, more ...string) string {
	t.Helper()
	env := filepath.Join(t.TempDir(), "release.env")
	if err := os.WriteFile(env, fmt.Appendf(nil, "REGISTRY=%s\nTAG=%s\n", world.registry, tag), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"release", "create", version, "--env-file", env}
	for _, file := range c.stack.files {
		args = append(args, "-f", filepath.Join(c.emr, file))
	}
	return c.must(t, append(args, more...)...)
}

// file writes one more compose file beside the others and answers its path.
func (c *Centre) file(t testing.TB, name, text string) string {
	t.Helper()
	return write(t, filepath.Join(c.emr, name), []byte(text))
}

// document reads a release that the centre has made.
func (c *Centre) document(t testing.TB, version string) *manifest.Release {
	t.Helper()
	data, err := os.ReadFile(c.documentPath(version))
	if err != nil {
		t.Fatal(err)
	}
	r := new(manifest.Release)
	if err := json.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *Centre) documentPath(version string) string {
	return filepath.Join(c.dir, "releases", version+".json")
}

// versions are all releases of the fleet.
func (c *Centre) versions(t testing.TB) (list []string) {
	t.Helper()
	names, err := filepath.Glob(c.documentPath("*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("the fleet has no releases (%v)", err)
	}
	for _, n := range names {
		list = append(list, strings.TrimSuffix(filepath.Base(n), ".json"))
	}
	return list
}

// root is the file that a site is given as its root of trust.
func (c *Centre) root() string { return filepath.Join(c.dir, "metadata", "1.root.json") }

// pin asks a site to run a version and publishes that to where.
func (c *Centre) pin(t testing.TB, site, version, where string) string {
	t.Helper()
	return c.must(t, "pin", version, "--site", site, "--allow-downgrade") + c.must(t, "publish", "--to", where)
}

// folderSource makes a folder that the centre publishes to.
func folderSource(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(world.temp, "published-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// shared makes a centre with some releases once, for all tests of a stack that need no other.
func shared(stack Stack, versions ...string) func(testing.TB) *Centre {
	var once sync.Once
	var c *Centre
	return func(t testing.TB) *Centre {
		t.Helper()
		once.Do(func() {
			made := newCentre(t, stack)
			for _, v := range versions {
				made.release(t, v, v)
			}
			if stack.delta != "" {
				made.byDelta(t, versions[1], versions[0], stack.delta, nil)
			}
			c = made
		})
		if c == nil {
			t.Fatal("the shared centre could not be made; see the first test that needed it")
		}
		return c
	}
}

var (
	clinicCentre = shared(clinicStack, "1.0.0", "1.1.0", "1.2.0", "1.3.0")
	ledgerCentre = shared(ledgerStack, "1.0.0", "1.1.0", "1.2.0")
)

// mentions fails the test unless the text holds all words.
func mentions(t testing.TB, r Result, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(r.Text(), w) {
			t.Errorf("no word of %q in:\n%s", w, r)
		}
	}
}
