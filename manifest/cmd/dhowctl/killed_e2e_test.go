//go:build e2e && faults

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// TestPublishKilled kills dhowctl at every write in turn, and lets the disk be full at it. Sites read the old manifest or the new one, and
// publishing again ends it.
func TestPublishKilled(t *testing.T) {
	dir := t.TempDir()
	fleet, web := filepath.Join(dir, "fleet"), filepath.Join(dir, "web")
	dhowctl(t, "init", fleet, "--name", "f")
	dhowctl(t, "-C", fleet, "publish", "--to", web)
	root, err := os.ReadFile(filepath.Join(fleet, "metadata", "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	site, err := trust.Scratch(root, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read := func() *trust.Manifest {
		t.Helper()
		src, err := fetch.Open(t.Context(), web)
		if err != nil {
			t.Fatal(err)
		}
		m, err := site.Refresh(t.Context(), src, false)
		if err = errors.Join(err, src.Close()); err != nil {
			t.Fatal(err)
		}
		return m
	}
	stopped := 0
	for n, action := range []string{"kill", "enospc"} {
		for write := 1; ; write++ {
			before := read()
			dhowctl(t, "-C", fleet, "ring", "add", fmt.Sprintf("r-%d-%d", n, write))
			t.Setenv("DHOW_FAULT", fmt.Sprintf("durable/rename#%d:%s", write, action))
			t.Setenv("DHOW_FAULT_DIR", t.TempDir())
			code := start(t, "-C", fleet, "publish", "--to", web).ends(t)
			t.Setenv("DHOW_FAULT", "")
			now := read()
			if now.Number != before.Number && now.Number != before.Number+1 || len(now.Fleet.Rings) != int(now.Number)-1 {
				t.Fatalf("%s at write %d: from %d to %d, rings %v", action, write, before.Number, now.Number, now.Fleet.Rings)
			}
			dhowctl(t, "-C", fleet, "publish", "--to", web)
			if m := read(); m.Number != before.Number+1 {
				t.Fatalf("%s at write %d: published again: %d, want %d", action, write, m.Number, before.Number+1)
			}
			if code == 0 {
				break
			}
			stopped++
		}
	}
	if stopped < 10 {
		t.Errorf("stopped at %d writes only", stopped)
	}
}
