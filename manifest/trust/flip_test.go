package trust_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// A flipped bit anywhere in signed documents is damage or forgery: nobody is told to look for a newer program.
func TestFlippedBitsAreNoNewerVersion(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	f.rotate(func() { f.keys[timestamp] = append(f.keys[timestamp][:0:0], newKey(t)) })
	files := f.next()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if path == "metadata/1.root.json" {
			continue // the site has its own
		}
		at, step := 0, 5
		if path == "metadata/timestamp.json" { // the only one that nothing else gives a digest of
			step = 1
		}
		if path == "metadata/2.root.json" { // one of its three signatures may be bad
			at, step = bytes.Index(files[path], []byte(`"signed"`)), 5
		}
		for ; at < len(files[path]); at += step {
			bad := bytes.Clone(files[path])
			bad[at] ^= 1
			_, err := s.Scratch().Refresh(context.Background(), manifesttest.NewSource(with(files, map[string][]byte{path: bad})), true)
			if !errors.Is(err, trust.ErrDamaged) && !errors.Is(err, trust.ErrForged) || errors.Is(err, manifest.ErrNewer) {
				t.Errorf("%s with byte %d flipped (%.40q): %v", path, at, bad[max(0, at-20):], err)
			}
		}
	}
	if m := s.must(files, true); m.Number != 1 {
		t.Errorf("manifest %d, want 1", m.Number)
	}
}

func TestSpecVersion(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	files := f.next()
	unsigned := func(spec string) map[string][]byte {
		const path = "metadata/timestamp.json"
		return with(files, map[string][]byte{path: edit(t, files[path], func(m map[string]any) { m["spec_version"] = spec })})
	}
	signed := func(spec string) map[string][]byte {
		forge := newForge(t, "drc")
		forge.keys, forge.files = f.keys, f.files
		forge.onTimestamp = stampSpec(spec)
		return forge.next()
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		kind  error
		want  string
	}{
		{"unsigned 2", unsigned("2.0.0"), trust.ErrForged, "metadata/timestamp.json is not signed by the fleet's keys: "},
		{"unsigned nonsense", unsigned("0.0.31x"), trust.ErrForged, "metadata/timestamp.json is not signed by the fleet's keys: "},
		{"signed 2", signed("2.0.0"), manifest.ErrNewer, `metadata/timestamp.json: made for a newer version of dhow: TUF version "2.0.0"`},
		{"signed nonsense", signed("1.x"), trust.ErrDamaged, `metadata/timestamp.json is damaged: its TUF version "1.x" is none`},
		{"signed nothing", signed(""), trust.ErrDamaged, `metadata/timestamp.json is damaged: its TUF version "" is none`},
	} {
		if err := s.fails(c.files, false); !errors.Is(err, c.kind) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func stampSpec(spec string) func(*metadata.TimestampType) {
	return func(m *metadata.TimestampType) { m.SpecVersion = spec }
}
