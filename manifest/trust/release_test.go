package trust_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func TestRelease(t *testing.T) {
	ctx := context.Background()
	f := newForge(t, "drc")
	f.release("1.0.0")
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	src := manifesttest.NewSource(files)
	if _, _, err := s.Release(ctx, src, "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("without a manifest: %v", err)
	}
	s.must(files, false)
	if _, _, err := s.Release(ctx, nil, "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("without a source: %v", err)
	}
	if _, _, err := s.CachedRelease("1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("not cached yet: %v", err)
	}
	path := find(files, "targets/releases/")
	for name, bad := range map[string][]byte{"flipped": append([]byte("["), files[path][1:]...), "short": files[path][:9], "long": append(files[path][:len(files[path]):len(files[path])], 0)} {
		if _, _, err := s.Release(ctx, manifesttest.NewSource(with(files, map[string][]byte{path: bad})), "1.0.0"); !errors.Is(err, trust.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.Release(ctx, manifesttest.NewSource(nil), "1.0.0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a source without it: %v", err)
	}
	for _, bad := range []string{"2.0.0", "", "1.0", "v1.0.0", "../../fleet", "1.0.0/../1.0.0"} {
		if _, _, err := s.Release(ctx, src, bad); !errors.Is(err, trust.ErrUnknownRelease) {
			t.Errorf("release %q: %v", bad, err)
		}
		if _, _, err := s.CachedRelease(bad); !errors.Is(err, trust.ErrNothing) {
			t.Errorf("cached release %q: %v", bad, err)
		}
	}
	want := digest.FromBytes(files[path])
	for n := range 3 {
		var use trust.Source
		if n == 0 {
			use = src
		} else {
			s.reopen()
		}
		r, d, err := s.Release(ctx, use, "1.0.0")
		if err != nil || r.Version != "1.0.0" || d != want {
			t.Fatalf("reading %d: %v, %s, %v", n, r, d, err)
		}
	}

	// It stays readable when the manifest leaves it out.
	delete(f.docs, "1.0.0")
	s.must(f.next(), false)
	if _, _, err := s.Release(ctx, src, "1.0.0"); !errors.Is(err, trust.ErrUnknownRelease) {
		t.Errorf("no longer listed: %v", err)
	}
	s.reopen()
	if r, d, err := s.CachedRelease("1.0.0"); err != nil || r.Version != "1.0.0" || d != want {
		t.Errorf("cached: %v, %s, %v", r, d, err)
	}
}

func TestDamagedCacheIsFetchedAgain(t *testing.T) {
	ctx := context.Background()
	f := newForge(t, "drc")
	f.release("1.0.0")
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(files, false)
	src := manifesttest.NewSource(files)
	if _, _, err := s.Release(ctx, src, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "releases", "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("cache: %v, %v", names, err)
	}
	if err := os.WriteFile(names[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CachedRelease("1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("damaged cache: %v", err)
	}
	if _, _, err := s.Release(ctx, nil, "1.0.0"); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("damaged cache without a source: %v", err)
	}
	if _, _, err := s.Release(ctx, src, "1.0.0"); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Release(ctx, nil, "1.0.0"); err != nil {
		t.Error(err)
	}
}

// Mistakes of a signer who has the keys: a document under the wrong name, of another fleet, or with a mistake.
func TestReleaseThatDoesNotFit(t *testing.T) {
	f := newForge(t, "drc")
	f.release("1.0.0")
	f.docs["2.0.0"] = f.docs["1.0.0"]
	f.fleet.Name = "other"
	f.release("3.0.0")
	f.fleet.Name = "drc"
	f.docs["4.0.0"] = []byte(`{"format":1}`)
	f.docs["5.0.0"] = []byte(`{"format":99}`)
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(files, true)
	for version, want := range map[string]error{
		"2.0.0": trust.ErrDamaged, "3.0.0": trust.ErrOtherFleet, "4.0.0": manifest.ErrInvalid, "5.0.0": manifest.ErrNewer,
	} {
		if _, _, err := s.Release(context.Background(), manifesttest.NewSource(files), version); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", version, err, want)
		}
		if _, _, err := s.CachedRelease(version); !errors.Is(err, trust.ErrNothing) {
			t.Errorf("%s was kept: %v", version, err)
		}
	}
}
