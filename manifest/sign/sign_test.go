package sign_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

var pass = []byte(manifesttest.Passphrase)

// fleet is a fleet with releases 1.0.0 and 1.1.0, and kin-001 on 1.0.0 in ring pilot.
func fleet(t *testing.T) *manifesttest.Fleet {
	t.Helper()
	f := manifesttest.New(t, "drc")
	f.AddRelease("1.0.0", nil)
	f.AddRelease("1.1.0", nil)
	f.Assign("kin-001", "pilot", "1.0.0")
	return f
}

// accept lets a site read the documents and returns the manifest.
func accept(t *testing.T, c *trust.Client, files map[string][]byte) *trust.Manifest {
	t.Helper()
	m, err := c.Refresh(context.Background(), manifesttest.NewSource(files), false)
	if err != nil {
		t.Fatalf("a site refuses the manifest: %v", err)
	}
	return m
}

func site(t *testing.T, f *manifesttest.Fleet) *trust.Client {
	t.Helper()
	c, err := trust.Scratch(f.Root, trust.Options{Now: func() time.Time { return f.Now }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignAndAccept(t *testing.T) {
	f := fleet(t)
	if _, err := f.Documents(); !errors.Is(err, sign.ErrNotSigned) {
		t.Errorf("before: %v", err)
	}
	d, err := f.Sign(pass, f.Now)
	if err != nil {
		t.Fatal(err)
	}
	if d.Number != 1 || !d.New || !d.Expires.Equal(f.Now.Add(90*24*time.Hour)) {
		t.Errorf("got number %d, new %v, expires %s", d.Number, d.New, d.Expires)
	}
	var paths []string
	for path := range d.Files {
		if strings.HasPrefix(path, "targets/") {
			dir, base := filepath.Split(path)
			_, base, _ = strings.Cut(base, ".")
			path = dir + "SHA." + base
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	want := []string{
		"metadata/1.root.json", "metadata/1.snapshot.json", "metadata/1.targets.json", "metadata/timestamp.json",
		"targets/SHA.fleet.json.zst", "targets/SHA.sites.json.zst",
		"targets/releases/SHA.1.0.0.json", "targets/releases/SHA.1.1.0.json",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("documents %v", paths)
	}
	c := site(t, f)
	m := accept(t, c, d.Files)
	if m.Number != 1 || !slices.Equal(m.Releases, []string{"1.0.0", "1.1.0"}) || m.Fleet.Policy.Keep != 3 {
		t.Errorf("manifest %+v", m)
	}
	r, _, err := c.Release(context.Background(), manifesttest.NewSource(d.Files), "1.1.0")
	if err != nil || !reflect.DeepEqual(r, f.NewRelease("1.1.0")) {
		t.Errorf("release %+v, %v", r, err)
	}
	again, err := f.Documents()
	if err != nil || !reflect.DeepEqual(again.Files, d.Files) || again.Number != 1 || !again.Expires.Equal(d.Expires) {
		t.Errorf("documents: %v", err)
	}
}

func TestWhatIsSignedAnew(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	begin := f.Now
	accept(t, c, f.Publish())
	day := 24 * time.Hour
	for _, step := range []struct {
		name   string
		after  time.Duration
		change func()
		number int64
		isNew  bool
	}{
		{"at once", 0, nil, 1, false},
		{"an hour later", time.Hour, nil, 1, false},
		{"two days later", 2 * day, nil, 1, true},
		{"another pin", 2 * day, func() { f.Assign("", "pilot", "1.1.0") }, 2, true},
		{"the same pin", 2 * day, func() { f.Assign("", "pilot", "1.1.0") }, 2, false},
		{"another release", 3 * day, func() { f.AddRelease("1.2.0", nil) }, 3, true},
		{"half a year later", 200 * day, nil, 4, true},
		{"half a year and a day later", 201*day + time.Hour, nil, 4, true},
	} {
		f.Now = begin.Add(step.after)
		if step.change != nil {
			step.change()
		}
		d, err := f.Sign(pass, f.Now)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if d.Number != step.number || d.New != step.isNew {
			t.Errorf("%s: number %d new %v, want %d %v", step.name, d.Number, d.New, step.number, step.isNew)
		}
		if m := accept(t, c, d.Files); m.Number != step.number {
			t.Errorf("%s: the site has %d", step.name, m.Number)
		}
	}
}

func TestMoves(t *testing.T) {
	f := fleet(t)
	f.Assign("kin-002", "pilot", "1.0.0")
	f.Assign("kin-003", "pilot", "1.0.0")
	f.Publish()
	hold := &manifest.Hold{Reason: "audit", Since: f.Now}
	must(t, f.Fleet().SetSite("kin-002", manifest.Site{Ring: "pilot", Hold: hold}))
	must(t, f.Fleet().SetSite("kin-003", manifest.Site{Ring: "pilot", Pin: "1.0.0"}))
	must(t, f.Fleet().SetSite("kin-004", manifest.Site{Ring: "pilot"}))
	must(t, f.Fleet().Pin("pilot", "1.1"))
	must(t, f.SaveFleet())
	now, err := f.Resolve()
	must(t, err)
	e, err := f.Effect(now)
	must(t, err)
	want := []sign.Move{{From: "1.0.0", To: "1.1.0", Sites: []string{"kin-001"}}, {To: "1.1.0", Sites: []string{"kin-004"}}}
	if !reflect.DeepEqual(e.Moves, want) || !slices.Equal(e.Held, []string{"kin-002"}) {
		t.Errorf("moves %+v, want %+v; held %v", e.Moves, want, e.Held)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

func TestSignRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, f *manifesttest.Fleet)
		pass   string
		kind   error
		text   string
	}{
		"wrong passphrase": {pass: "sesame", change: func(t *testing.T, f *manifesttest.Fleet) { f.AddRelease("1.2.0", nil) }, kind: sign.ErrPassphrase, text: "cannot open key release: wrong passphrase"},
		"ring on an unknown release": {kind: sign.ErrUnknownRelease, change: func(t *testing.T, f *manifesttest.Fleet) {
			f.Assign("", "pilot", "2.0.0")
		}, text: "ring pilot is pinned to 2.0.0: no such release (there is 1.0.0, 1.1.0)"},
		"site on an unknown release": {kind: sign.ErrUnknownRelease, change: func(t *testing.T, f *manifesttest.Fleet) {
			must(t, f.Fleet().PinSite("kin-001", "2.0.0"))
			must(t, f.SaveFleet())
		}, text: "site kin-001 is pinned to 2.0.0: no such release"},
		"unsaved": {change: func(t *testing.T, f *manifesttest.Fleet) {
			must(t, f.Fleet().PinSite("kin-001", "1.1.0"))
		}, text: "are not saved"},
		"edited meanwhile": {change: func(t *testing.T, f *manifesttest.Fleet) {
			appendTo(t, filepath.Join(f.Dir(), "fleet.yaml"), "# hello\n")
		}, text: "was changed by somebody else"},
		"clock behind": {change: func(t *testing.T, f *manifesttest.Fleet) { f.Now = f.Now.AddDate(-3, 0, 0) }, text: "this computer's clock says"},
		"root expired": {change: func(t *testing.T, f *manifesttest.Fleet) { f.Now = f.Now.AddDate(6, 0, 0) }, text: "cannot sign: the root has expired: it was good until "},
		"release changed after signing": {kind: sign.ErrExists, change: func(t *testing.T, f *manifesttest.Fleet) {
			r := f.NewRelease("1.0.0")
			r.Project = "other"
			data, err := r.Encode()
			must(t, err)
			must(t, os.WriteFile(filepath.Join(f.Dir(), "releases", "1.0.0.json"), data, 0o644))
		}, text: "a release never changes"},
		"release damaged": {kind: manifest.ErrInvalid, change: func(t *testing.T, f *manifesttest.Fleet) {
			appendTo(t, filepath.Join(f.Dir(), "releases", "1.0.0.json"), "}")
		}, text: "1.0.0.json"},
		"release under another name": {change: func(t *testing.T, f *manifesttest.Fleet) {
			must(t, os.Rename(filepath.Join(f.Dir(), "releases", "1.1.0.json"), filepath.Join(f.Dir(), "releases", "1.3.0.json")))
		}, text: "it describes 1.1.0"},
		"stray release file": {change: func(t *testing.T, f *manifesttest.Fleet) {
			must(t, os.WriteFile(filepath.Join(f.Dir(), "releases", "new.json"), nil, 0o644))
		}, text: "is not named after a version"},
		"signed document damaged": {change: func(t *testing.T, f *manifesttest.Fleet) {
			appendTo(t, filepath.Join(f.Dir(), "metadata", "1.targets.json"), " ")
		}, text: "is not what was signed: get it back from git"},
		"key gone": {change: func(t *testing.T, f *manifesttest.Fleet) {
			f.AddRelease("1.2.0", nil)
			must(t, os.Remove(filepath.Join(f.Dir(), "keys", "release.json")))
		}, text: "cannot sign: signatures are missing: the key release must sign, and none is in "},
		"key of another fleet": {change: func(t *testing.T, f *manifesttest.Fleet) {
			f.AddRelease("1.2.0", nil)
			other := manifesttest.New(t, "other")
			must(t, os.Rename(filepath.Join(other.Dir(), "keys", "release.json"), filepath.Join(f.Dir(), "keys", "release.json")))
		}, kind: sign.ErrMissing, text: "/drc/keys (release.json there is another key)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fleet(t)
			f.Publish()
			if test.change != nil {
				test.change(t, f)
			}
			before := tree(t, f.Dir())
			use := pass
			if test.pass != "" {
				use = []byte(test.pass)
			}
			_, err := f.Sign(use, f.Now)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("\n got %v\nwant %s", err, test.text)
			}
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("%v is not %v", err, test.kind)
			}
			if err != nil && strings.Contains(err.Error(), manifesttest.Passphrase) {
				t.Error("the passphrase stands in the error")
			}
			if !maps.Equal(before, tree(t, f.Dir())) {
				t.Error("a refused signing changed the repository")
			}
		})
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(data, text...), 0o644))
}

// A signing that was cut before its last write has changed nothing, and is repeated with whatever is wanted by then.
func TestInterruptedSign(t *testing.T) {
	f := fleet(t)
	c := site(t, f)
	accept(t, c, f.Publish())
	stamp := filepath.Join(f.Dir(), "metadata", "timestamp.json")
	before, err := os.ReadFile(stamp)
	must(t, err)
	f.Assign("", "pilot", "1.1.0")
	f.Publish()
	for _, left := range []string{"", "metadata/2.snapshot.json", "metadata/2.targets.json"} {
		must(t, os.WriteFile(stamp, before, 0o644))
		if left != "" {
			must(t, os.Remove(filepath.Join(f.Dir(), filepath.FromSlash(left))))
		}
		d, err := f.Documents()
		if err != nil || d.Number != 1 {
			t.Fatalf("after the cut: %v", err)
		}
		if d, err = f.Sign(pass, f.Now); err != nil || d.Number != 2 {
			t.Fatalf("again: %v", err)
		}
		if m := accept(t, site(t, f), d.Files); m.Number != 2 {
			t.Errorf("manifest %d", m.Number)
		}
	}
	if m := accept(t, c, f.Publish()); m.Fleet.Rings["pilot"].Pin != "1.1.0" {
		t.Errorf("the site has %+v", m.Fleet.Rings)
	}
}
