//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/api"
)

func sh(t testing.TB, cmd ...string) string {
	t.Helper()
	out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestHiddenVolume updates a stack whose data are on a disk of their own, which only the engine mounts, and lets a broken release destroy them.
func TestHiddenVolume(t *testing.T) {
	t.Parallel()
	disk := filepath.Join(t.TempDir(), "disk")
	sh(t, "truncate", "-s", "40M", disk)
	sh(t, "mkfs.ext4", "-q", "-F", disk)
	device := sh(t, "losetup", "--find", "--show", disk)
	t.Cleanup(func() { sh(t, "losetup", "-d", device) })

	c := newCentre(t, ledgerStack)
	far := c.file(t, "far.yaml", fmt.Sprintf("volumes:\n  ledger-data:\n    driver_opts: {type: ext4, device: %s}\n", device))
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		c.release(t, v, v, "-f", far)
	}
	s := newSite(t, c, "hidden")
	source := folderSource(t)
	c.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")

	c.pin(t, s.name, "1.1.0", source)
	mentions(t, s.must("update", "--now"), "1.1.0 is running")
	mentions(t, s.must("status"), "ledger-data can only be copied through the engine")
	before := s.seen()

	c.pin(t, s.name, "1.2.0", source)
	s.expect(3, "update", "--now")
	if last := s.last(); last.Result != api.ResultRolledBack {
		t.Fatalf("%+v\n%s", last, s.tail())
	}
	before.same(t, s.seen(), "after the rollback")

	s.must("rollback", "--to", "1.0.0", "--data", "restore", "--yes")
	after := s.seen()
	if len(after) != len(before) {
		t.Errorf("there were %d files, now there are %d", len(before), len(after))
	}
	for name, sum := range before {
		if after[name] == sum {
			t.Errorf("%s is still that of 1.1.0", name)
		}
	}
	if left := s.docker("ps", "-aq", "--filter", "label=dhow.carrier="+s.project+"_ledger-data"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}
