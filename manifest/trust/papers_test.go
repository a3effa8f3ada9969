package trust_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// TestClientIsASource lets one site take its manifest from another.
func TestClientIsASource(t *testing.T) {
	ctx := context.Background()
	f := manifesttest.New(t, "drc")
	f.AddRelease("1.0.0", nil)
	f.AddRelease("1.1.0", nil)
	f.Assign("kin-001", "pilot", "1.0.0")
	f.Assign("kin-002", "pilot", "1.1.0")
	published := f.Publish()
	a, b := newClient(t, f.Root, trust.Options{}), newClient(t, f.Root, trust.Options{})
	if _, err := a.Document(ctx, "metadata/timestamp.json", 1<<20); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("before the first refresh: %v", err)
	}
	src := manifesttest.NewSource(published)
	if _, err := a.Refresh(ctx, src, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Release(ctx, src, "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Refresh(ctx, a, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Release(ctx, a, "1.1.0"); err != nil {
		t.Error(err)
	}
	if _, _, err := b.Release(ctx, a, "1.0.0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a release whose document is not here: %v", err)
	}
	want := maps.Clone(published)
	maps.DeleteFunc(want, func(path string, _ []byte) bool { return strings.HasSuffix(path, ".1.0.0.json") })
	for _, c := range []*trust.Client{a, b} {
		got, err := c.Documents()
		if err != nil {
			t.Fatal(err)
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
			t.Errorf("documents are %q", names)
		}
		for path, data := range got {
			if string(data) != string(published[path]) {
				t.Errorf("%s is another one", path)
			}
		}
		here, err := c.Here()
		if err != nil || len(here) != 1 || here[0].Version != "1.1.0" {
			t.Errorf("here are %v (%v)", here, err)
		}
	}
	for _, path := range []string{
		"", "metadata", "metadata/9.targets.json", "targets/releases/../releases/x", "targets/releases/" + strings.Repeat("0", 64) + ".1.1.0.json",
		"/etc/passwd", "targets/releases/.1.1.0.json", "state-0", "releases/1.1.0.json",
	} {
		if _, err := a.Document(ctx, path, 1<<20); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := a.Document(ctx, "metadata/timestamp.json", 10); err == nil {
		t.Error("longer than the limit")
	}

	f.AddRelease("1.2.0", nil)
	f.Assign("kin-001", "pilot", "1.2.0")
	if _, err := a.Refresh(ctx, manifesttest.NewSource(f.Publish()), false); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Refresh(ctx, a, false); err != nil || m.Number != 2 {
		t.Errorf("the next manifest: %v", err)
	}
}

// TestNeighboursPart: of a large fleet a site has its own part only.
func TestNeighboursPart(t *testing.T) {
	ctx := context.Background()
	f := manifesttest.New(t, "drc")
	f.AddRelease("1.0.0", nil)
	f.Assign("", "pilot", "1.0.0")
	for n := range 600 {
		if err := f.Fleet().SetSite(fmt.Sprintf("hc-%d", n), manifest.Site{Ring: "pilot"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SaveFleet(); err != nil {
		t.Fatal(err)
	}
	published := manifesttest.NewSource(f.Publish())
	a := newClient(t, f.Root, trust.Options{Site: "hc-1"})
	if _, err := a.Refresh(ctx, published, false); err != nil {
		t.Fatal(err)
	}
	all, err := a.Documents()
	if err != nil {
		t.Fatal(err)
	}
	parts := 0
	for path := range all {
		if strings.HasPrefix(path, "targets/sites/") {
			parts++
		}
	}
	if parts != 1 {
		t.Errorf("%d parts", parts)
	}
	missing, err := a.MissingParts()
	if err != nil || len(missing) == 0 {
		t.Fatalf("missing are %v (%v)", missing, err)
	}
	for _, b := range missing {
		if data, err := trust.FetchPart(ctx, published, b); err != nil || int64(len(data)) != b.Size {
			t.Errorf("a part: %v", err)
		}
		if _, err := trust.FetchPart(ctx, a, b); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a part that is not here: %v", err)
		}
	}
	same, other := 0, 0
	for n := range 40 {
		b := newClient(t, f.Root, trust.Options{Site: fmt.Sprintf("hc-%d", n)})
		_, err := b.Refresh(ctx, a, false)
		switch {
		case err == nil:
			same++
		case errors.Is(err, fs.ErrNotExist):
			other++
			if _, err := b.Refresh(ctx, published, false); err != nil {
				t.Errorf("from another source: %v", err)
			}
		default:
			t.Error(err)
		}
	}
	if same == 0 || other == 0 {
		t.Errorf("%d neighbours found their part, %d did not", same, other)
	}
}

func newClient(t *testing.T, root []byte, o trust.Options) *trust.Client {
	t.Helper()
	dir := t.TempDir()
	if err := trust.Init(dir, root); err != nil {
		t.Fatal(err)
	}
	c, err := trust.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
