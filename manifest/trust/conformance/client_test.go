package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the built program.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "conformance")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// client runs the program in folders of its own.
type client struct {
	t        *testing.T
	r        *repository
	metadata string
	files    string
	clock    string // of $DHOW_CLOCK
	said     string // standard error of the last run
}

// newClient begins with the repository's first root.
func newClient(t *testing.T, r *repository) *client {
	t.Helper()
	c := &client{t: t, r: r, metadata: filepath.Join(t.TempDir(), "metadata"), files: filepath.Join(t.TempDir(), "files")}
	c.begin(r.public["root"][0])
	return c
}

func (c *client) begin(root []byte) {
	c.t.Helper()
	first := filepath.Join(c.t.TempDir(), "initial_root.json")
	if err := os.WriteFile(first, root, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if code := c.run("--metadata-dir", c.metadata, "init", first); code != 0 {
		c.t.Fatalf("init: %d %s", code, c.said)
	}
}

func (c *client) run(args ...string) int {
	c.t.Helper()
	c.r.settle()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DHOW_CLOCK="+c.clock)
	out, err := cmd.CombinedOutput()
	c.said = strings.TrimSpace(string(out))
	c.r.settle()
	code := cmd.ProcessState.ExitCode()
	if (err == nil) != (code == 0) || code > 1 || (code == 0) != (c.said == "") || strings.Contains(c.said, "panic") {
		c.t.Fatalf("%v: %d %v %s", args, code, err, c.said)
	}
	return code
}

func (c *client) refresh() int {
	return c.run("--metadata-url", c.r.url+"/metadata/", "--metadata-dir", c.metadata, "refresh")
}

func (c *client) download(names ...string) int {
	args := []string{"--metadata-url", c.r.url + "/metadata/", "--metadata-dir", c.metadata}
	for _, name := range names {
		args = append(args, "--target-name", name)
	}
	return c.run(append(args, "--target-dir", c.files, "--target-base-url", c.r.url+"/targets/", "download")...)
}

func (c *client) good() {
	c.t.Helper()
	if code := c.refresh(); code != 0 {
		c.t.Fatalf("refused: %s", c.said)
	}
}

// refused expects the refresh to fail, and part in what it says.
func (c *client) refused(part string) {
	c.t.Helper()
	if c.refresh() == 0 {
		c.t.Fatal("accepted")
	}
	if !strings.Contains(c.said, part) {
		c.t.Errorf("it said %q, not %q", c.said, part)
	}
}

// trusts compares what is on disk with all of want: "root 2, targets 1".
func (c *client) trusts(want string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.metadata)
	if err != nil {
		c.t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		role, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			c.t.Errorf("%s was left behind", e.Name())
			continue
		}
		var d struct {
			Signed struct{ Version json.Number }
		}
		if err := json.Unmarshal(c.disk(role), &d); err != nil {
			c.t.Fatal(err)
		}
		have = append(have, role+" "+d.Signed.Version.String())
	}
	if got := strings.Join(have, ", "); got != want {
		c.t.Errorf("trusted: %s; want %s", got, want)
	}
}

func (c *client) disk(role string) []byte {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.metadata, role+".json"))
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

// has compares the fetched files, sorted by name, with want.
func (c *client) has(want ...string) {
	c.t.Helper()
	entries, err := os.ReadDir(c.files)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	have := []string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(c.files, e.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		have = append(have, string(data))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		c.t.Errorf("files: %q, want %q", have, want)
	}
}

// asked compares the documents that were asked for since the last time.
func (c *client) asked(want ...string) {
	c.t.Helper()
	if got := c.r.requests(); !slices.Equal(got, want) {
		c.t.Errorf("asked for %q, want %q", got, want)
	}
}

// askedLast compares the last document that was asked for.
func (c *client) askedLast(want string) {
	c.t.Helper()
	if got := c.r.requests(); len(got) == 0 || got[len(got)-1] != want {
		c.t.Errorf("asked for %q, want %q at last", got, want)
	}
}

// at sets the clock.
func (c *client) at(now time.Time) { c.clock = fmt.Sprintf("echo %d", now.Unix()) }
