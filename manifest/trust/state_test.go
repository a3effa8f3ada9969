package trust_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// slots returns the paths of the two slots, the newest first.
func (s *site) slots() [2]string {
	s.t.Helper()
	newest := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		return string(data[:len("dhow-trust 1 99")])
	}
	a, b := filepath.Join(s.dir, "state-0"), filepath.Join(s.dir, "state-1")
	if newest(a) > newest(b) {
		return [2]string{a, b}
	}
	return [2]string{b, a}
}

func cut(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

func TestOneDamagedSlot(t *testing.T) {
	for _, offline := range []bool{false, true} {
		f := newForge(t, "drc")
		s := newSite(t, f.files["metadata/1.root.json"])
		s.must(f.next(), offline)
		files := f.next()
		s.must(files, offline)
		// A torn newest slot costs the last write only.
		cut(t, s.slots()[0])
		if n := s.number(); n < 1 {
			t.Fatalf("offline=%v: manifest %d", offline, n)
		}
		if m := s.must(files, offline); m.Number != 2 {
			t.Errorf("manifest %d, want 2", m.Number)
		}
		// A damaged older slot costs nothing.
		cut(t, s.slots()[1])
		if n := s.number(); n != 2 {
			t.Errorf("manifest %d, want 2", n)
		}
		if m := s.must(f.next(), offline); m.Number != 3 {
			t.Errorf("manifest %d, want 3", m.Number)
		}
	}
}

func TestFirstRefreshTorn(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	files := f.next()
	s.must(files, true)
	cut(t, s.slots()[0])
	if n := s.number(); n != 0 {
		t.Fatalf("manifest %d out of a torn slot", n)
	}
	if m := s.must(files, true); m.Number != 1 {
		t.Errorf("manifest %d, want 1", m.Number)
	}
}

func TestBothSlotsDamaged(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	one, two := f.next(), f.next()
	s.must(two, true)
	for n, path := range s.slots() {
		if n == 0 {
			cut(t, path)
			continue
		}
		if err := os.WriteFile(path, []byte("dhow-trust 1 7 0000 3\nabc"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.open(trust.Options{}); !errors.Is(err, trust.ErrDamaged) {
		t.Fatalf("open: %v", err)
	}
	if err := trust.Restore(s.dir, nil); err != nil {
		t.Fatal(err)
	}
	if err := trust.Restore(s.dir, nil); err != nil {
		t.Fatalf("again: %v", err)
	}
	// With what the journal remembers an old stick is still refused.
	if err := s.open(trust.Options{Seen: 2}); err != nil {
		t.Fatal(err)
	}
	err := s.fails(one, true)
	if want := "the manifest is older than what this site has already seen (manifest 1 < 2)"; err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	if m := s.must(two, true); m.Number != 2 {
		t.Errorf("manifest %d, want 2", m.Number)
	}
}

// TestRestoreKeepsTheNewestRoot: a key that was replaced does not count again because a disk has lost what came after it.
func TestRestoreKeepsTheNewestRoot(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), true)
	thief := f.copy(t)
	for range 3 {
		f.rotate(func() {
			f.keys[root] = append(f.keys[root][1:3:3], newKey(t))
			f.keys[timestamp] = []ed25519.PrivateKey{newKey(t)}
		})
	}
	s.must(f.next(), true)
	chain := s.Roots()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := trust.Restore(s.dir, nil); err == nil {
		t.Error("it was restored from nothing")
	}
	if err := trust.Restore(s.dir, chain); err != nil {
		t.Fatal(err)
	}
	if err := s.open(trust.Options{Seen: 2}); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(s.Roots(), chain, bytes.Equal) {
		t.Error("the chain of roots is another one")
	}
	for range 5 {
		thief.next()
	}
	if err := s.fails(thief.next(), true); !errors.Is(err, trust.ErrForged) {
		t.Errorf("a stick with the keys of before: %v", err)
	}
	if m := s.must(f.next(), true); m.Number != 3 {
		t.Errorf("manifest %d", m.Number)
	}
}

func TestNewerStateIsRefused(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), true)
	if err := os.WriteFile(s.slots()[1], []byte("dhow-trust 2 9 00 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.open(trust.Options{}); !errors.Is(err, manifest.ErrNewer) {
		t.Errorf("open: %v", err)
	}
}

// A power cut at any write of a refresh, and a torn file on top of it: the site is at the old manifest or the new one, and goes on.
func TestCutAtEveryWrite(t *testing.T) {
	for steps := range 7 {
		for _, torn := range []bool{false, true} {
			f := newForge(t, "drc")
			s := newSite(t, f.files["metadata/1.root.json"])
			s.must(f.next(), false)
			f.rotate(func() {})
			f.fleet.Policy.Contact = "somebody"
			files := f.next()
			src := manifesttest.NewSource(files)
			asked := 0
			src.Fail = func(string) error {
				if asked++; asked > steps {
					return errors.New("power cut")
				}
				return nil
			}
			if _, err := s.Refresh(context.Background(), src, false); err == nil {
				t.Fatalf("%d steps: no power cut", steps)
			}
			if torn {
				cut(t, s.slots()[0])
			}
			if n := s.number(); n != 1 && !(torn && n == 0) {
				t.Errorf("%d steps, torn=%v: manifest %d", steps, torn, n)
			}
			if m := s.must(files, false); m.Number != 2 {
				t.Errorf("%d steps, torn=%v: manifest %d, want 2", steps, torn, m.Number)
			}
		}
	}
}

func TestFullDiskChangesNothing(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), true)
	before := s.disk()
	// A folder in the place of the slot makes the rename fail, as a full or broken disk would.
	path := s.slots()[1]
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.fails(f.next(), true)
	if m, err := s.Current(); err != nil || m.Number != 1 {
		t.Errorf("after a failed save: %v, %v", m, err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	delete(before, path)
	if !maps.Equal(before, s.disk()) {
		t.Error("a failed save left something behind")
	}
}

func TestLeftoversGoWithTheNextWrite(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	left := filepath.Join(s.dir, durable.TempPrefix+"1")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.reopen()
	if _, err := os.Stat(left); err != nil {
		t.Errorf("reading removed what another process may be writing: %v", err)
	}
	s.must(f.next(), true)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("leftover: %v", err)
	}
}

func TestInterruptedInitIsRepeated(t *testing.T) {
	f := newForge(t, "drc")
	first := f.files["metadata/1.root.json"]
	s := newSite(t, first)
	path := filepath.Join(s.dir, "root.json")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.open(trust.Options{}); !errors.Is(err, trust.ErrNoRoot) {
		t.Errorf("open: %v", err)
	}
	if err := trust.Init(s.dir, first); err != nil {
		t.Fatal(err)
	}
	s.reopen()
	if m := s.must(f.next(), true); m.Number != 1 {
		t.Errorf("manifest %d", m.Number)
	}
	// With a manifest it is a loss, and nothing begins anew by itself.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := trust.Init(s.dir, first); err == nil {
		t.Error("a state without root.json was overwritten")
	}
}
