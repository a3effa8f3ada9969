package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/update"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// TestLostTrust loses the trusted metadata in every way. The site refuses what is older than it has seen, and goes on with what is newer.
func TestLostTrust(t *testing.T) {
	f := manifesttest.New(t, "emr")
	f.AddRelease("1.0.0", nil)
	f.Assign("kin-001", "pilot", "1.0.0")
	one := f.Publish()
	f.Now = f.Now.Add(time.Hour)
	f.AddRelease("1.1.0", nil)
	f.Assign("kin-001", "pilot", "1.1.0")
	two := f.Publish()
	f.Now = f.Now.Add(time.Hour)
	three := f.Publish()
	log := slog.New(slog.DiscardHandler)
	for name, lose := range map[string]func(dir string) error{
		"both slots are damaged": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "state-0"), []byte("x"), 0o600), os.Truncate(filepath.Join(dir, "state-1"), 100))
		},
		"both slots are gone": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "state-0")), os.Remove(filepath.Join(dir, "state-1")))
		},
		"the root is damaged": func(dir string) error { return os.WriteFile(filepath.Join(dir, "root.json"), []byte("{"), 0o600) },
		"the root is gone":    func(dir string) error { return os.Remove(filepath.Join(dir, "root.json")) },
		"all is gone":         os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "trust")
			if err := trust.Init(dir, f.Root); err != nil {
				t.Fatal(err)
			}
			client, err := openTrust(dir, "kin-001", update.Witness{}, log)
			if err != nil {
				t.Fatal(err)
			}
			for _, files := range []map[string][]byte{one, two} {
				if _, err := client.Refresh(t.Context(), manifesttest.NewSource(files), true); err != nil {
					t.Fatal(err)
				}
			}
			seen := update.Witness{Number: 2, Signed: client.Clock().Floor, Roots: client.Roots()}
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			if client, err = openTrust(dir, "kin-001", seen, log); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Current(); !errors.Is(err, trust.ErrNothing) {
				t.Fatalf("it has a manifest: %v", err)
			}
			if !client.Clock().Floor.Equal(seen.Signed) {
				t.Errorf("the floor fell from %s to %s", seen.Signed, client.Clock().Floor)
			}
			_, err = client.Refresh(t.Context(), manifesttest.NewSource(one), true)
			if want := "the manifest is older than what this site has already seen (manifest 1 < 2)"; err == nil || err.Error() != want {
				t.Errorf("an older stick:\n got %v\nwant %s", err, want)
			}
			if m, err := client.Refresh(t.Context(), manifesttest.NewSource(three), true); err != nil || m.Number < 2 {
				t.Errorf("a newer stick: %v", err)
			}
			again, err := openTrust(dir, "kin-001", seen, log)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := again.Current(); err != nil || m.Number < 2 {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "trust")
	_, err := openTrust(dir, "kin-001", update.Witness{}, log)
	want := "cannot find out whom this site trusts: " + dir + ": no root of trust"
	if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeNotTrusted || e.Message != want || e.Hint == "" {
		t.Errorf("nothing is known: %v", err)
	}
}
