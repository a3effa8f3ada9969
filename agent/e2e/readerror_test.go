//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dhow/agent/api"
)

// TestUnreadable has a file in a folder of data that the disk does not give back: the update stops while users work, and names the file.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 16)
	broken := filepath.Join(d.path, "xrays", "patient-7.dcm")
	if err := os.Mkdir(filepath.Dir(broken), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, broken, make([]byte, 1<<20))
	// The map of the file's blocks is damaged: its size is known, its content is not.
	d.offline(func(image string) {
		if r := command(t, "", nil, "debugfs", "-w", "-R", "set_inode_field /xrays/patient-7.dcm block[2] 0xffffffff", image); r.Code != 0 {
			t.Fatal(r)
		}
	})
	if _, err := os.ReadFile(broken); err == nil {
		t.Fatalf("%s can be read", broken)
	}

	c := newCentre(t, ledgerStack)
	bind := c.file(t, "xrays.yaml", fmt.Sprintf("services:\n  ledger:\n    volumes:\n      - %s:/xrays\n", filepath.Dir(broken)))
	for _, v := range []string{"1.0.0", "1.1.0"} {
		c.release(t, v, v, "-f", bind)
	}
	s, source := newSite(t, c, "unreadable"), folderSource(t)
	s.engine = newEngine(t, "")
	c.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")
	before := s.ledger()
	c.pin(t, s.name, "1.1.0", source)
	w := s.watch()
	r := s.expect(api.CodeRefused, "update", "--now")
	mentions(t, r, broken, "disk")
	if story := w.end(); w.sight[0].What != "1.0.0" || len(w.sight) != 2 {
		t.Errorf("users saw: %s", story)
	}
	s.sane("1.0.0")
	before.same(t, s.ledger(), "the ledger")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	s.must("update", "--now")
	s.sane("1.1.0")
}
