//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	scattered(t, broken)
	d.offline(func(image string) { spoil(t, image, "/xrays/patient-7.dcm") })
	if _, err := os.ReadFile(broken); err == nil {
		t.Fatalf("%s can be read", broken)
	}

	c := newCentre(t, ledgerStack)
	bind := c.file(t, "xrays.yaml", fmt.Sprintf("services:\n  ledger:\n    volumes:\n      - %s:/xrays\n", filepath.Dir(broken)))
	c.release(t, "1.0.0", "1.0.0")
	c.release(t, "1.1.0", "1.1.0", "-f", bind) // it comes to mount what is there, and may write to it
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

// scattered writes a file in so many pieces that their list needs a block of its own.
func scattered(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range int64(8) {
		if _, err := f.WriteAt(bytes.Repeat([]byte("x-ray "), 600), i<<16); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

var listBlock = regexp.MustCompile(`\(ETB0\):(\d+)`)

// spoil overwrites that list: the file is there, with its size, but cannot be read.
func spoil(t testing.TB, image, path string) {
	t.Helper()
	r := command(t, "", nil, "debugfs", "-R", "stat "+path, image)
	m := listBlock.FindStringSubmatch(r.Out)
	if m == nil {
		t.Fatal(r)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xe5}, 4096), n*4096); err != nil {
		t.Fatal(err)
	}
}
