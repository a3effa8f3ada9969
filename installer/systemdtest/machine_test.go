//go:build e2e

package systemdtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/installer/systemdtest"
)

func TestMachine(t *testing.T) {
	shared := t.TempDir()
	m := systemdtest.Start(t, shared)
	if got := m.Run(t, "cat", "/proc/1/comm"); got != "systemd" {
		t.Errorf("process 1 is %q", got)
	}
	if err := os.WriteFile(filepath.Join(shared, "x"), []byte("from outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := m.Run(t, "cat", filepath.Join(shared, "x")); got != "from outside" {
		t.Errorf("the shared file holds %q", got)
	}
	m.Put(t, filepath.Join(shared, "x"), "/srv/deep/x")
	m.Write(t, "/run/gone", "1")
	m.Run(t, "systemd-run", "--unit", "job", "sleep", "1000")

	m.PowerCut(t)
	if got := m.Run(t, "stat", "-c", "%U %s", "/srv/deep/x"); got != "root 12" {
		t.Errorf("the disk after the power cut: %q", got)
	}
	if _, code := m.Try(t, "test", "-e", "/run/gone"); code == 0 {
		t.Error("/run outlived the power cut")
	}
	if text, code := m.Try(t, "pgrep", "sleep"); code == 0 {
		t.Errorf("a process outlived the power cut: %s", text)
	}
	if text, code := m.Terminal(t, "yes\n", `read -r a; echo "got $a"; test -t 0`); code != 0 || !strings.Contains(text, "got yes") {
		t.Errorf("terminal: %d %q", code, text)
	}
}
