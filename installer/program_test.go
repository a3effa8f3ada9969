//go:build !windows

package installer

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPutProgram(t *testing.T) {
	dir := t.TempDir()
	program := func(name, version string) string {
		path := filepath.Join(dir, name)
		text := "#!/bin/sh\n[ \"$*\" = 'version --json' ] && echo '{\"version\": \"" + version + "\"}'\n"
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	to := filepath.Join(dir, "lib", "dhow")
	silent := filepath.Join(dir, "silent")
	if err := os.WriteFile(silent, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, from, version string
		done                Done
		newer               string
	}{
		{"first", program("a", "1.0.0"), "1.0.0", Made, ""},
		{"again", program("a", "1.0.0"), "1.0.0", Kept, ""},
		{"newer", program("b", "v1.1.0"), "v1.1.0", Repaired, ""},
		{"older", program("a", "1.0.0"), "1.0.0", Kept, "v1.1.0"},
		{"of no version", program("d", "dev"), "dev", Repaired, ""},
		{"over one of no version", program("a", "1.0.0"), "1.0.0", Repaired, ""},
		{"itself", to, "1.0.0", Kept, ""},
		{"damaged", silent, "1.0.0", Repaired, ""}, // equal bytes are compared before anything is run
		{"over a damaged one", program("a", "1.0.0"), "1.0.0", Repaired, ""},
	} {
		done, newer, err := putProgram(t.Context(), c.from, to, c.version)
		if err != nil || done != c.done || newer != c.newer {
			t.Errorf("%s: %s, %q, %v; want %s, %q", c.what, done, newer, err, c.done, c.newer)
		}
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, _, err := putProgram(t.Context(), filepath.Join(dir, "nothing"), filepath.Join(dir, "x", "y"), "1.0.0"); err == nil {
		t.Error("a program that is not there was put in place")
	}
}
