package agent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// module is the module's path.
const module = "dhow"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = ".."
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v: %s", err, problems.String())
	}
	var all []pkg
	for dec := json.NewDecoder(&out); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func one(t *testing.T, name string) pkg {
	t.Helper()
	all := list(t, module+"/"+name)
	if len(all) != 1 {
		t.Fatalf("%s: %d packages", name, len(all))
	}
	return all[0]
}

// The engine of changes knows only the standard library, so that it can be reasoned about, and tested, by itself.
func TestChangeImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, p := range list(t, "-deps", module+"/agent/change") {
		if !p.Standard && p.ImportPath != module+"/agent/change" {
			t.Errorf("agent/change depends on %s", p.ImportPath)
		}
	}
}

// Adapters know how, not when: nothing of changes, and nothing of each other.
func TestAdaptersKnowNeitherChangesNorEachOther(t *testing.T) {
	adapters := []string{
		"agent/engine", "agent/stack", "agent/backup", "agent/backup/archive", "agent/database", "agent/health", "agent/doors",
		"agent/site", "agent/offsite", "agent/support", "agent/stick", "agent/self", "bundle/fetch", "manifest/trust",
	}
	for _, name := range adapters {
		p := one(t, name)
		forbidden := []string{"agent/change", "agent/journal", "agent/update", "agent/daemon", "agent/api", "installer"}
		for _, other := range append(forbidden, adapters...) {
			if other != name && slices.Contains(p.Deps, module+"/"+other) {
				t.Errorf("%s depends on %s", name, other)
			}
		}
	}
}

// cmd → daemon → update → change, and never back. The daemon does not even know the pipeline: it is handed a Manager.
func TestLayers(t *testing.T) {
	for name, forbidden := range map[string][]string{
		"agent/api":     {"agent/site", "agent/daemon", "agent/update", "agent/change", "agent/journal", "bundle", "manifest"},
		"agent/journal": {"agent/update", "agent/daemon", "agent/engine", "agent/stack", "agent/site"},
		"agent/update":  {"agent/daemon", "installer"},
		"agent/daemon":  {"agent/update", "agent/change", "agent/journal", "agent/engine", "agent/stack", "installer"},
		"agent/words":   {"agent/api", "agent/site", "agent/update", "bundle", "manifest"},
		"agent/page":    {"agent/update", "agent/daemon", "agent/change", "agent/journal", "agent/engine", "installer"},
		"agent/notice":  {"agent/update", "agent/daemon", "agent/change", "agent/journal", "agent/engine", "installer"},
		"agent/metrics": {"agent/update", "agent/daemon", "agent/change", "agent/journal", "agent/engine", "installer"},
		"installer":     {"agent/update", "agent/daemon"},
		"manifest":      {"bundle", "agent/api"},
		"bundle":        {"agent/api", "bundle/fetch", "bundle/pack"},
		"bundle/ladder": {"agent/api", "agent/change", "agent/engine", "agent/journal", "agent/site", "agent/update", "bundle/pack"},
	} {
		p := one(t, name)
		for _, f := range forbidden {
			if slices.Contains(p.Deps, module+"/"+f) {
				t.Errorf("%s depends on %s", name, f)
			}
		}
	}
}

// A stolen site computer must hold nothing that could sign, or be made to.
func TestSitesHoldNoSigningCode(t *testing.T) {
	p := one(t, "agent/cmd/dhow")
	for _, f := range []string{"manifest/sign", "manifest/author"} {
		if slices.Contains(p.Deps, module+"/"+f) {
			t.Errorf("dhow is built with %s", f)
		}
	}
	for _, want := range []string{"agent/update", "agent/daemon", "manifest/trust"} {
		if !slices.Contains(p.Deps, module+"/"+want) {
			t.Errorf("dhow is built without %s", want)
		}
	}
}

// The file system of the crash tests is in no program.
func TestProgramsHoldNoTests(t *testing.T) {
	for _, name := range []string{"agent/cmd/dhow", "manifest/cmd/dhowctl"} {
		for _, dep := range one(t, name).Deps {
			if dep == module+"/agent/crash" || strings.HasPrefix(dep, "github.com/hanwen/") {
				t.Errorf("%s is built with %s", name, dep)
			}
		}
	}
}

// withTemplates are the packages in dhow that import templates and keep no method: what uses them there is never reached, or cobra's own switch.
var withTemplates = []string{
	"github.com/DataDog/datadog-agent/pkg/template/html", "github.com/DataDog/datadog-agent/pkg/template/text", "github.com/docker/buildx/util/imagetools",
	"github.com/docker/cli/cli-plugins/hooks", "github.com/docker/cli/cli/command/formatter", "github.com/docker/cli/cli/command/inspect",
	"github.com/docker/cli/templates", "github.com/spf13/cobra",
}

// A template of the standard library calls methods by their names, and where that may happen the linker leaves no method out: dhow would be half as large again.
// The tag is that of scripts/lib.sh and of README: without it gRPC brings golang.org/x/net/trace. What comes to the list is first looked at: how large is dhow
// with it?
func TestNothingKeepsAllMethods(t *testing.T) {
	all := list(t, "-deps", "-tags", "grpcnotrace", module+"/agent/cmd/dhow")
	if len(all) < 500 {
		t.Fatalf("found only %d packages", len(all))
	}
	for _, p := range all {
		uses := slices.Contains(p.Imports, "text/template") || slices.Contains(p.Imports, "html/template")
		if !p.Standard && uses && !slices.Contains(withTemplates, p.ImportPath) || p.ImportPath == "github.com/nicksnyder/go-i18n/v2/i18n" {
			t.Errorf("dhow is built with %s, which may keep all methods", p.ImportPath)
		}
	}
	for _, name := range []string{"README.md", "scripts/lib.sh"} {
		text, err := os.ReadFile("../" + name)
		if err != nil || !bytes.Contains(text, []byte("grpcnotrace")) {
			t.Errorf("%s builds dhow without grpcnotrace: %v", name, err)
		}
	}
}

func TestNamesOfPackages(t *testing.T) {
	for _, p := range list(t, "./...") {
		switch path.Base(p.ImportPath) {
		case "util", "utils", "common", "helpers", "types", "pkg":
			t.Errorf("%s says nothing by its name", p.ImportPath)
		}
	}
}

func TestTopLevel(t *testing.T) {
	allowed := []string{"agent", "bundle", "manifest", "installer", "scripts", "go.mod", "go.sum", "LICENSE", "README.md"}
	tracked := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	tracked.Dir = ".."
	out, err := tracked.Output()
	names := strings.Fields(string(out))
	if err != nil { // not a git checkout: look at the folder
		entries, err := os.ReadDir("..")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		t.Fatal("there is nothing")
	}
	for _, n := range names {
		top, _, _ := strings.Cut(n, "/")
		if !slices.Contains(allowed, top) && !strings.HasPrefix(top, ".") && top != "dist" {
			t.Errorf("%s does not belong at the top", top)
		}
	}
}
