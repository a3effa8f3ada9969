package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/audit"
	"dhow/manifest/manifesttest"
)

// fleet is a fleet with five manifests. Its folder is a source.
func fleet(t *testing.T) *manifesttest.Fleet {
	t.Helper()
	f := manifesttest.New(t, "drc")
	f.Now = f.Now.Truncate(24 * time.Hour).Add(32 * time.Hour) // tomorrow at 8
	edit := func(by string, change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := f.SaveFleet(); err != nil {
			t.Fatal(err)
		}
		f.Now = f.Now.Add(time.Hour)
		f.By = by
		if _, err := f.Sign([]byte(manifesttest.Passphrase), f.Now); err != nil {
			t.Fatal(err)
		}
	}
	f.AddRelease("1.0.0", nil)
	edit("marie", func() error {
		f.Assign("kin-001", "pilot", "1.0.0")
		f.Assign("kin-002", "pilot", "1.0.0")
		return nil
	})
	f.AddRelease("1.1.0", nil)
	edit("jean", func() error { return f.Fleet().SetRing("pilot", "1.1.0") })
	edit("jean", func() error {
		return f.Fleet().SetSite("kin-002", manifest.Site{
			Ring: "pilot", Pin: "1.1.0", Hold: &manifest.Hold{Reason: "audit", Since: f.Now},
		})
	})
	edit("", func() error { return f.Fleet().SetSite("kin-003", manifest.Site{Ring: "pilot"}) })
	edit("marie", func() error { return f.Fleet().SetSite("kin-002", manifest.Site{Ring: "pilot"}) })
	return f
}

func read(t *testing.T, f *manifesttest.Fleet, dir string, opts audit.Options) (*audit.History, error) {
	t.Helper()
	src, err := fetch.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	opts.Now = func() time.Time { return f.Now }
	return audit.Read(context.Background(), src, f.Root, opts)
}

// lines are the entries of a history, a line for each change.
func lines(h *audit.History) (out []string) {
	for _, e := range h.Entries {
		at := "-"
		if !e.Made.IsZero() {
			at = e.Made.Format("15:04")
		}
		head := fmt.Sprintf("%s %d %s %s %s: ", e.Kind, e.Number, at, e.By, strings.Join(e.Keys, ","))
		if e.Last > 0 {
			head += fmt.Sprintf("to %d: ", e.Last)
		}
		for _, c := range e.Changes {
			out = append(out, head+c.Text)
		}
		if e.Problem != "" {
			out = append(out, head+"! "+e.Problem)
		}
	}
	return out
}

func check(t *testing.T, h *audit.History, want ...string) {
	t.Helper()
	if got := lines(h); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistory(t *testing.T) {
	f := fleet(t)
	five := []string{
		"manifest 5 13:00 marie release: site kin-002 follows its ring again (was pinned to 1.1.0)",
		"manifest 5 13:00 marie release: site kin-002 no longer held (was: audit)",
	}
	four := "manifest 4 12:00  release: site kin-003 added to ring pilot"
	three := []string{
		"manifest 3 11:00 jean release: site kin-002 pinned to 1.1.0 by itself",
		"manifest 3 11:00 jean release: site kin-002 held (audit)",
	}
	ring := "manifest 2 10:00 jean release: ring pilot 1.0.0 → 1.1.0 (2 sites)"
	t.Run("all", func(t *testing.T) {
		h, err := read(t, f, f.Dir(), audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if h.Fleet != "drc" || h.Manifest != 5 || h.Root != 1 || len(h.Damaged) != 0 {
			t.Errorf("%+v", h)
		}
		got := lines(h)
		want := append(append(append([]string{}, five...), four), three...)
		want = append(want, "manifest 2 10:00 jean release: release 1.1.0 added", ring)
		if len(got) < len(want) || !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, part := range []string{
			"release 1.0.0 added", "policy fetch nothing → 0 * * * *", "policy keep nothing → 3", "ring pilot added, pinned to 1.0.0",
			"site kin-001 added to ring pilot", "site kin-002 added to ring pilot",
		} {
			if !strings.Contains(strings.Join(got[len(want):], "\n")+"\n", "manifest 1 09:00 marie release: "+part+"\n") {
				t.Errorf("manifest 1 lacks %q: %q", part, got[len(want):])
			}
		}
	})
	t.Run("a site", func(t *testing.T) {
		h, err := read(t, f, f.Dir(), audit.Options{Site: "kin-002"})
		if err != nil {
			t.Fatal(err)
		}
		check(t, h, five[0], five[1], three[0], three[1], ring,
			"manifest 1 09:00 marie release: ring pilot added, pinned to 1.0.0", "manifest 1 09:00 marie release: site kin-002 added to ring pilot")
	})
	t.Run("since", func(t *testing.T) {
		h, err := read(t, f, f.Dir(), audit.Options{Ring: "pilot", Since: f.Now.Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		check(t, h, five[0], five[1], four)
	})
}

// What is missing or changed is said, and does not hide what it changed.
func TestGapsAndDamage(t *testing.T) {
	f := fleet(t)
	other := fleet(t)
	copied := func(t *testing.T) string {
		t.Helper()
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(f.Dir())); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	list := func(dir, n string) string { return filepath.Join(dir, "metadata", n+".targets.json") }
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opts := audit.Options{Ring: "pilot"}
	newest := []string{
		"manifest 5 13:00 marie release: site kin-002 follows its ring again (was pinned to 1.1.0)",
		"manifest 5 13:00 marie release: site kin-002 no longer held (was: audit)",
		"manifest 4 12:00  release: site kin-003 added to ring pilot",
	}
	first := []string{
		"manifest 1 09:00 marie release: ring pilot added, pinned to 1.0.0",
		"manifest 1 09:00 marie release: site kin-001 added to ring pilot", "manifest 1 09:00 marie release: site kin-002 added to ring pilot",
	}
	t.Run("two are gone", func(t *testing.T) {
		dir := copied(t)
		must(t, os.Remove(list(dir, "2")))
		must(t, os.Remove(list(dir, "3")))
		h, err := read(t, f, dir, opts)
		must(t, err)
		check(t, h, append(append(append([]string{}, newest[:2]...),
			"manifest 4 12:00  release: ring pilot 1.0.0 → 1.1.0 (2 sites)",
			"manifest 4 12:00  release: site kin-002 pinned to 1.1.0 by itself", "manifest 4 12:00  release: site kin-002 held (audit)",
			newest[2],
			"manifest 2 -  : to 3: ! not here; what it changed shows with the next one"), first...)...)
		if len(h.Damaged) != 0 {
			t.Errorf("damaged: %v", h.Damaged)
		}
	})
	rest := func(problem string) []string {
		return append(append(append([]string{}, newest...),
			"manifest 3 11:00 jean release: ring pilot 1.0.0 → 1.1.0 (1 site)",
			"manifest 3 11:00 jean release: site kin-002 pinned to 1.1.0 by itself", "manifest 3 11:00 jean release: site kin-002 held (audit)",
			"manifest 2 -  : ! "+problem), first...)
	}
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"another fleet's": {func(t *testing.T, path string) {
			data, err := os.ReadFile(list(other.Dir(), "2"))
			must(t, err)
			must(t, os.WriteFile(path, data, 0o644))
		}, "it is not signed by the fleet's release key"},
		"a flipped word": {func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, []byte(strings.Replace(string(data), "jean", "paul", 1)), 0o644))
		}, "it is not signed by the fleet's release key"},
		"another number": {func(t *testing.T, path string) {
			data, err := os.ReadFile(list(f.Dir(), "3"))
			must(t, err)
			must(t, os.WriteFile(path, data, 0o644))
		}, "it is not a signed list of that number"},
		"no JSON": {func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("<html>"), 0o644)) }, "damaged: not valid: not JSON at byte 0"},
		"deep":    {func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(deep), 0o644)) }, "damaged: larger than allowed: nested more than 12 deep"},
		"null": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(`{"signed":{"_type":"targets","targets":{"a":null}}}`), 0o644))
		}, "damaged: not valid: null at byte 48"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t)
			c.make(t, list(dir, "2"))
			h, err := read(t, f, dir, opts)
			must(t, err)
			problem := "metadata/2.targets.json can't be believed: " + c.want
			check(t, h, rest(problem)...)
			if !reflect.DeepEqual(h.Damaged, []string{problem}) {
				t.Errorf("damaged: %q", h.Damaged)
			}
		})
	}
	t.Run("a published folder", func(t *testing.T) {
		dir := t.TempDir()
		d, err := f.Documents()
		must(t, err)
		for path, data := range d.Files {
			path = filepath.Join(dir, filepath.FromSlash(path))
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, data, 0o644))
		}
		h, err := read(t, f, dir, audit.Options{})
		must(t, err)
		check(t, h, "manifest 5 13:00 marie release: 2 releases, 1 ring, 3 sites; what was changed before is not known here",
			"manifest 1 -  : to 4: ! not here; what it changed shows with the next one")
	})
	t.Run("the newest is damaged", func(t *testing.T) {
		dir := copied(t)
		must(t, os.WriteFile(list(dir, "5"), []byte("{}"), 0o644))
		if h, err := read(t, f, dir, opts); err == nil || !strings.Contains(err.Error(), "metadata/5.targets.json is damaged") {
			t.Errorf("%v %v", h, err)
		}
	})
}
