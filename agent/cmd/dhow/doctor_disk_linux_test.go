package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/agent/words"
)

// TestDoctorOnAFullDisk examines file systems that are small, and one that has no room for another file.
func TestDoctorOnAFullDisk(t *testing.T) {
	p := &patient{shell: &shell{words: words.For("en")}, paths: site.Paths{Prefix: t.TempDir()}}
	dir := p.paths.State()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.status = &api.Status{Needs: []api.Need{{Kind: api.NeedDisk, Args: map[string]string{"missing": "7 GB"}}}}
	list := checkDisk(t.Context(), p)
	if got := ids(list); !slices.Contains(got, "bad disk.short") {
		t.Errorf("an update waits for room: %q", got)
	}
	last := list[len(list)-1]
	last.fill()
	if last.Text != "The disk is too full: 7 GB more must be free." || last.Remedy == "" {
		t.Errorf("%+v", last)
	}
	for _, c := range []struct {
		options      string
		files        int
		disk, inodes string
	}{
		{"size=1900m,nr_inodes=30k", 0, "warning disk.little", ""}, // nothing of it is used: memory is taken as files are written
		{"size=64m,nr_inodes=1000", 980, "bad disk.full", "bad inodes.little"},
		{"size=64m,nr_inodes=1000", 100, "bad disk.full", ""},
	} {
		func() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, c.options); err != nil {
				t.Fatalf("%v (this test runs as root)", err)
			}
			defer func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			}()
			for i := range c.files {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p.status = nil
			for name, found := range map[string][]finding{c.disk: checkDisk(t.Context(), p), c.inodes: checkInodes(t.Context(), p)} {
				got := ids(found)
				if name == "" && len(got) > 0 || name != "" && !slices.Equal(got, []string{name}) {
					t.Errorf("%s with %d files: %q, want %q", c.options, c.files, got, name)
				}
			}
		}()
	}
}
