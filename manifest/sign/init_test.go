package sign_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

func TestAddRelease(t *testing.T) {
	f := fleet(t)
	later := f.NewRelease("1.0.0")
	later.Created = f.Now.Add(time.Hour)
	must(t, f.Repository.AddRelease(later))
	if r, err := f.Release("1.0"); err != nil || !r.Created.Equal(f.Now) {
		t.Errorf("made anew: %v, %v", r, err)
	}
	other := f.NewRelease("1.0.0")
	other.Notes = map[string]string{"en": "changed"}
	if err := f.Repository.AddRelease(other); !errors.Is(err, sign.ErrExists) {
		t.Errorf("another content: %v", err)
	}
	other.Version, other.Fleet = "3.0.0", "elsewhere"
	if err := f.Repository.AddRelease(other); err == nil || !strings.Contains(err.Error(), "it is for fleet elsewhere, this is drc") {
		t.Errorf("another fleet: %v", err)
	}
	other.Fleet, other.Project = "drc", ""
	if err := f.Repository.AddRelease(other); !errors.Is(err, manifest.ErrInvalid) {
		t.Errorf("not valid: %v", err)
	}
	_, err := f.Release("9.0.0")
	if want := "no such release: 9.0.0 (there is 1.0.0, 1.1.0)"; !errors.Is(err, sign.ErrUnknownRelease) || err.Error() != want {
		t.Errorf("unknown: %v", err)
	}
	if v, err := f.Releases(); err != nil || !slices.Equal(v, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("releases %v, %v", v, err)
	}
}

func TestInit(t *testing.T) {
	cheap := sign.WithWork(2)
	dir := filepath.Join(t.TempDir(), "a", "fleet")
	c, err := sign.Init(dir, "drc", pass, cheap)
	must(t, err)
	var keys []string
	for _, k := range c.Keys {
		keys = append(keys, k.Name+" "+k.Role)
		info, err := os.Stat(filepath.Join(dir, "keys", k.Name+".json"))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("key %s has mode %o", k.Name, info.Mode().Perm())
		}
	}
	if want := []string{"root-1 root", "root-2 root", "root-3 root", "release release", "freshness freshness"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v", keys)
	}
	if fp, err := trust.Fingerprint(c.Root); err != nil || fp != c.Fingerprint {
		t.Errorf("fingerprint %s, %v, want %s", fp, err, c.Fingerprint)
	}
	if !bytes.Contains(c.Root, []byte(`"threshold":2`)) {
		t.Errorf("the root needs one key only: %s", c.Root)
	}
	r, err := sign.Open(dir)
	must(t, err)
	if root, err := r.Root(); err != nil || !bytes.Equal(root, c.Root) {
		t.Errorf("root: %v", err)
	}
	if v, err := r.Releases(); err != nil || len(v) != 0 {
		t.Errorf("releases %v, %v", v, err)
	}
	if _, err := r.Sign(pass, time.Now()); err != nil {
		t.Errorf("an empty fleet can't be signed: %v", err)
	}

	before := tree(t, dir)
	if _, err := sign.Init(dir, "drc", pass, cheap); !errors.Is(err, sign.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if !maps.Equal(before, tree(t, dir)) {
		t.Error("a second init changed the repository")
	}
	git := t.TempDir()
	must(t, os.Mkdir(filepath.Join(git, ".git"), 0o755))
	if _, err := sign.Init(git, "drc", pass, cheap); err != nil {
		t.Errorf("in a new git checkout: %v", err)
	}
	for name, err := range map[string]error{
		"no name":       second(sign.Init(filepath.Join(t.TempDir(), "x"), "", pass, cheap)),
		"bad name":      second(sign.Init(filepath.Join(t.TempDir(), "x"), "a/b", pass, cheap)),
		"no passphrase": second(sign.Init(filepath.Join(t.TempDir(), "x"), "drc", nil, cheap)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := sign.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a fleet repository") {
		t.Errorf("open of something else: %v", err)
	}
}

func second(_ *sign.Created, err error) error { return err }
