package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/manifest/sign"
)

// TestFleetReference reads the example of the help as a fleet.yaml, and looks for every key.
func TestFleetReference(t *testing.T) {
	begin, end := strings.Index(fleetReference, "format: 1"), strings.Index(fleetReference, "A changed setting")
	if begin < 0 || end < begin {
		t.Fatal("the reference holds no example")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fleet.yaml"), []byte(fleetReference[begin:end]), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := sign.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Fleet().Fleet()
	if f.Rings["pilot"].Asked != "1.2.x" || !f.Rings["wave1"].Downgrade || f.Sites["kin-002"].Settings["CLINIC_NAME"] != "Kinshasa 2" ||
		f.Policy.Backup.Space != "20 GB" || f.Policy.Quiet != "08:00-17:00" || f.Policy.Budget.Month != "1 GB" || len(f.Policy.Languages) != 2 || f.Sites["kin-002"].Hold == nil {
		t.Errorf("read as %+v", f)
	}
	for _, key := range fleetKeys {
		if !strings.Contains(fleetReference, key+":") {
			t.Errorf("the reference does not speak of %q", key)
		}
	}
}

// fleetKeys are all keys of fleet.yaml, as package sign reads them.
var fleetKeys = []string{
	"format", "name", "policy", "rings", "sites", "agent", "agentDowngrade",
	"fetch", "window", "timeZone", "rate", "quiet", "budget", "day", "month", "keep", "backup", "languages", "contact", "backupKey",
	"at", "days", "space", "drill", "pin", "downgrade", "settings", "ring", "hold", "reason", "since",
}
