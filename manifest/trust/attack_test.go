package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"dhow/manifest/trust"
)

// atThree makes a fleet that has published manifest 3.
func atThree(t *testing.T) (*forge, map[string][]byte) {
	f := newForge(t, "drc")
	f.next()
	f.next()
	return f, f.next()
}

// copy returns a forge with the same keys and state that may be changed by itself.
func (f *forge) copy(t *testing.T) *forge {
	c := *f
	c.t = t
	c.version, c.expires, c.keys, c.least = maps.Clone(f.version), maps.Clone(f.expires), maps.Clone(f.keys), maps.Clone(f.least)
	c.files = maps.Clone(f.files)
	return &c
}

func TestAttacks(t *testing.T) {
	f, third := atThree(t)
	for _, a := range attacks {
		for _, offline := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/offline=%v", a.name, offline), func(t *testing.T) {
				s := newSite(t, f.files["metadata/1.root.json"])
				s.must(third, false)
				before := s.disk()
				files := a.make(f.copy(t))

				kind := a.kind
				if offline && a.stick != nil {
					kind = a.stick
				}
				if kind == errGood {
					s.must(files, true)
					return
				}
				err := s.fails(files, offline)
				if !errors.Is(err, kind) {
					t.Errorf("got %v, want %v", err, kind)
				}
				if !strings.Contains(err.Error(), a.text) {
					t.Errorf("message %q lacks %q", err, a.text)
				}
				for _, other := range []error{
					trust.ErrStale, trust.ErrExpired, trust.ErrForged, trust.ErrDamaged, trust.ErrOtherFleet,
				} {
					if other != kind && errors.Is(err, other) {
						t.Errorf("%v is %v too", err, other)
					}
				}
				if offline && !maps.Equal(before, s.disk()) {
					t.Error("a refused stick left something behind")
				}
				if n := s.number(); n != 3 {
					t.Errorf("the site is at manifest %d, want 3", n)
				}
			})
		}
	}
}

// What was refused must not keep the site from the next good manifest.
func TestGoodAfterAttack(t *testing.T) {
	f, third := atThree(t)
	for _, a := range attacks {
		switch a.name {
		case "root expired", "version beyond counting", "targets rolled back behind a new snapshot key", "timestamp signed by a revoked key",
			"targets signed by a revoked key", "targets signed by one key of two":
			continue // signed by the fleet itself: what follows must be signed accordingly
		}
		t.Run(a.name, func(t *testing.T) {
			s := newSite(t, f.files["metadata/1.root.json"])
			s.must(third, false)
			s.fails(a.make(f.copy(t)), false)
			s.reopen()
			later := f.copy(t)
			for _, role := range []string{timestamp, snapshot, targets} {
				later.version[role] = 10
			}
			if m := s.must(later.publish(), false); m.Number != 10 {
				t.Errorf("manifest %d, want 10", m.Number)
			}
		})
	}
}

func TestEndlessRoots(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	for range 257 {
		f.rotate(func() {})
	}
	files := f.next()
	if err := s.fails(files, true); !errors.Is(err, trust.ErrDamaged) {
		t.Errorf("stick: %v", err)
	}
	s.Client = s.Scratch() // so many writes would take long
	if err := s.fails(files, false); !errors.Is(err, trust.ErrDamaged) {
		t.Errorf("online: %v", err)
	}
	// Online the walk goes on where it stopped.
	if m := s.must(files, false); m.Number != 1 {
		t.Errorf("manifest %d, want 1", m.Number)
	}
}

func TestRootRotation(t *testing.T) {
	for _, offline := range []bool{false, true} {
		f := newForge(t, "drc")
		s := newSite(t, f.files["metadata/1.root.json"])
		s.must(f.next(), offline)
		stolen := f.keys[timestamp]
		f.rotate(func() { f.keys[root] = append(f.keys[root][1:3:3], newKey(t)) })
		f.rotate(func() { f.keys[timestamp] = []ed25519.PrivateKey{newKey(t)} })
		f.rotate(func() { f.keys[root] = append(f.keys[root][1:3:3], newKey(t)) })
		if m := s.must(f.next(), offline); m.Number != 2 {
			t.Errorf("manifest %d, want 2", m.Number)
		}
		// The replaced key is worth nothing any more.
		thief := *f
		thief.keys = maps.Clone(f.keys)
		thief.keys[timestamp] = stolen
		if err := s.fails(thief.next(), offline); !errors.Is(err, trust.ErrForged) {
			t.Errorf("stolen key: %v", err)
		}
		if n := s.number(); n != 2 {
			t.Errorf("after reopening: %d", n)
		}
	}
}

// An attacker who held the freshness key may have counted far ahead. A new key ends that.
func TestFastForwardRecovery(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), false)
	f.version[timestamp], f.version[snapshot] = 1<<50, 1<<50
	s.must(f.publish(), false)
	f.rotate(func() {
		f.keys[timestamp] = []ed25519.PrivateKey{newKey(t)}
		f.keys[snapshot] = f.keys[timestamp]
	})
	f.version[timestamp], f.version[snapshot], f.version[targets] = 2, 2, 2
	if m := s.must(f.publish(), false); m.Number != 2 {
		t.Errorf("manifest %d, want 2", m.Number)
	}
	// And one who held the targets key too.
	f.version[timestamp], f.version[snapshot], f.version[targets] = 3, 3, 1<<50
	s.must(f.publish(), false)
	f.rotate(func() {
		f.keys[timestamp], f.keys[snapshot] = []ed25519.PrivateKey{newKey(t)}, []ed25519.PrivateKey{newKey(t)}
		f.keys[targets] = []ed25519.PrivateKey{newKey(t)}
	})
	f.version[timestamp], f.version[snapshot], f.version[targets] = 4, 4, 3
	if m := s.must(f.publish(), false); m.Number != 3 {
		t.Errorf("manifest %d, want 3", m.Number)
	}
}

func TestInit(t *testing.T) {
	f := newForge(t, "drc")
	first := f.files["metadata/1.root.json"]
	s := newSite(t, first)
	if err := trust.Init(s.dir, first); err != nil {
		t.Errorf("again: %v", err)
	}
	err := trust.Init(s.dir, newForge(t, "other").files["metadata/1.root.json"])
	if want := "this computer already trusts another root: the one given is signed by another fleet"; err == nil || err.Error() != want {
		t.Errorf("another root: %v", err)
	}
	lone := newForge(t, "drc")
	for name, data := range map[string][]byte{
		"empty": nil, "no JSON": []byte("root"), "one signature of two": lone.root(lone.keys[root][:1]),
		"changed":                 edit(t, first, func(s map[string]any) { s["expires"] = "2036-01-01T00:00:00Z" }),
		"no consistent snapshots": edit(t, first, func(s map[string]any) { s["consistent_snapshot"] = false }),
	} {
		dir := t.TempDir()
		if err := trust.Init(dir, data); !errors.Is(err, trust.ErrDamaged) && !errors.Is(err, trust.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := trust.Open(dir, trust.Options{}); !errors.Is(err, trust.ErrNoRoot) {
			t.Errorf("%s: open: %v", name, err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	f := newForge(t, "drc")
	first := f.files["metadata/1.root.json"]
	a, err := trust.Fingerprint(first)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 19 || strings.Trim(a, "0123456789-") != "" || strings.Count(a, "-") != 3 {
		t.Errorf("fingerprint %q", a)
	}
	spaced := bytes.ReplaceAll(first, []byte(","), []byte(",\r\n  "))
	if b, err := trust.Fingerprint(spaced); err != nil || a != b {
		t.Errorf("line endings change the fingerprint: %s %s %v", a, b, err)
	}
	f.expires[root] = f.expires[root].Add(time.Second)
	if b, err := trust.Fingerprint(f.root(f.keys[root])); err != nil || a == b {
		t.Errorf("another root, same fingerprint: %s %v", b, err)
	}
}
