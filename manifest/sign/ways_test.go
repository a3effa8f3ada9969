package sign_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/manifest"
	"dhow/manifest/audit"
	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
)

// waysTo are ways to a release of the fleet: the whole layer, and a delta of size bytes from each other release.
func waysTo(t *testing.T, f *manifesttest.Fleet, version string, size int64, from ...string) *manifest.Ways {
	t.Helper()
	image := func(version string) manifest.PlatformImage {
		r, err := f.Release(version)
		must(t, err)
		return r.Images[0].Platforms[0]
	}
	blob := func(what string) manifest.Blob {
		return manifest.Blob{Digest: digest.FromString(version + what), Size: size}
	}
	whole := blob("whole")
	whole.Size *= 10
	l := manifest.LayerWays{DiffID: image(version).Layers[0].DiffID, Full: &whole}
	for _, v := range from {
		l.Deltas = append(l.Deltas, manifest.Delta{Blob: blob(v), Base: image(v).Config.Digest, From: v})
	}
	return &manifest.Ways{Format: 1, Fleet: f.Name, Version: version, Layers: []manifest.LayerWays{l}}
}

// led lists the ways in signed documents, as "VERSION=bytes of the first delta".
func led(t *testing.T, f *manifesttest.Fleet, files map[string][]byte) string {
	t.Helper()
	c := site(t, f)
	m := accept(t, c, files)
	var all []string
	for _, v := range m.Releases {
		w, err := c.Ways(context.Background(), manifesttest.NewSource(files), v)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(t, err)
		all = append(all, fmt.Sprintf("%s=%d", v, w.Layers[0].Deltas[0].Size))
	}
	return strings.Join(all, " ")
}

func TestWaysAreListedForWhatSitesFetch(t *testing.T) {
	f := fleet(t)
	for _, v := range []string{"1.2.0", "1.3.0"} {
		f.AddRelease(v, nil)
	}
	must(t, f.SaveWays(waysTo(t, f, "1.1.0", 5, "1.0.0")))
	if got := led(t, f, f.Publish()); got != "" { // the ring is pinned to 1.0.0
		t.Errorf("listed: %s", got)
	}
	f.Assign("", "pilot", "1.1.0")
	first := f.Publish()
	if got := led(t, f, first); got != "1.1.0=5" {
		t.Errorf("listed: %s", got)
	}
	// More are added later; the release stays what it is.
	must(t, f.SaveWays(waysTo(t, f, "1.1.0", 4, "1.0.0", "1.2.0")))
	must(t, f.SaveWays(waysTo(t, f, "1.2.0", 3, "1.1.0")))
	now, gone, err := f.ChangedWays(f.Fleet().Fleet())
	if err != nil || len(now) != 1 || now[0].Version != "1.1.0" || len(gone) != 0 {
		t.Errorf("changed: %v, %v, %v", now, gone, err)
	}
	second := f.Publish()
	if got := led(t, f, second); got != "1.1.0=4" {
		t.Errorf("listed: %s", got)
	}
	f.Assign("", "pilot", "1.3.0")
	if got := led(t, f, f.Publish()); got != "1.1.0=4 1.2.0=3" {
		t.Errorf("listed: %s", got)
	}
	f.AddRelease("1.4.0", nil)
	f.Assign("", "pilot", "1.4.0")
	if _, gone, err := f.ChangedWays(f.Fleet().Fleet()); err != nil || !reflect.DeepEqual(gone, []string{"1.1.0"}) {
		t.Errorf("gone: %v, %v", gone, err)
	}
	if got := led(t, f, f.Publish()); got != "1.2.0=3" {
		t.Errorf("listed: %s", got)
	}
	h, err := audit.Read(context.Background(), folder(f.Dir()), f.Root, audit.Options{})
	must(t, err)
	var told []string
	for _, e := range h.Entries {
		for _, c := range e.Changes {
			if c.What == "ways" {
				told = append(told, fmt.Sprintf("%d %s", e.Number, c.Text))
			}
		}
	}
	want := []string{
		"5 ways to 1.1.0 no longer listed", "4 ways to 1.2.0: from 1.1.0 (3 bytes)",
		"3 ways to 1.1.0: from 1.2.0 (4 bytes), 1.0.0 (4 bytes)", "2 ways to 1.1.0: from 1.0.0 (5 bytes)",
	}
	if !reflect.DeepEqual(told, want) || len(h.Damaged) > 0 {
		t.Errorf("history\n%s\nwant\n%s\ndamaged %v", strings.Join(told, "\n"), strings.Join(want, "\n"), h.Damaged)
	}
}

// folder is a fleet repository as a source.
type folder string

func (d folder) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), filepath.FromSlash(path)))
}

func TestWaysThatNoSiteCouldGo(t *testing.T) {
	f := fleet(t)
	good := func() *manifest.Ways { return waysTo(t, f, "1.1.0", 5, "1.0.0") }
	base := good().Layers[0].Deltas[0].Base
	id := good().Layers[0].DiffID
	for name, test := range map[string]struct {
		spoil func(w *manifest.Ways)
		want  string
		kind  error
	}{
		"fleet":   {func(w *manifest.Ways) { w.Fleet = "other" }, "not valid: ways to release 1.1.0: they are for fleet other, this is drc", manifest.ErrInvalid},
		"release": {func(w *manifest.Ways) { w.Version = "7.0.0" }, "no such release: 7.0.0 (there is 1.0.0, 1.1.0)", sign.ErrUnknownRelease},
		"layer": {
			func(w *manifest.Ways) { w.Version = "1.0.0" },
			fmt.Sprintf("not valid: ways to release 1.0.0: it has no layer %s", id), manifest.ErrInvalid,
		},
		"from": {func(w *manifest.Ways) { w.Layers[0].Deltas[0].From = "0.9.0" }, "no such release: 0.9.0 (there is 1.0.0, 1.1.0)", sign.ErrUnknownRelease},
		"base": {
			func(w *manifest.Ways) { w.Layers[0].Deltas[0].Base = id },
			fmt.Sprintf("not valid: ways to release 1.1.0: release 1.0.0 has no other image %s to begin with", id), manifest.ErrInvalid,
		},
		"itself": {
			func(w *manifest.Ways) { w.Layers[0].Deltas[0].From = "1.1.0" },
			fmt.Sprintf("not valid: ways to release 1.1.0: release 1.1.0 has no other image %s to begin with", base), manifest.ErrInvalid,
		},
	} {
		w := good()
		test.spoil(w)
		if err := f.SaveWays(w); err == nil || err.Error() != "cannot save ways: "+test.want || !errors.Is(err, test.kind) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
		// The same in a file that somebody has put there.
		data, err := w.Encode()
		must(t, err)
		path := filepath.Join(f.Dir(), "ways", "1.1.0.json")
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o644))
		f.Assign("", "pilot", "1.1.0")
		if _, err := f.Sign(pass, f.Now); err == nil {
			t.Errorf("%s: it was signed", name)
		}
	}
}

func TestRemovedReleaseTakesItsWaysAlong(t *testing.T) {
	f := fleet(t)
	f.Publish()
	f.AddRelease("1.2.0-rc.1", nil)
	f.AddRelease("1.2.0", nil)
	must(t, f.SaveWays(waysTo(t, f, "1.2.0-rc.1", 2, "1.1.0")))
	must(t, f.SaveWays(waysTo(t, f, "1.2.0", 5, "1.2.0-rc.1", "1.1.0")))
	must(t, f.RemoveRelease("1.2.0-rc.1"))
	if _, err := os.Stat(filepath.Join(f.Dir(), "ways", "1.2.0-rc.1.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its ways: %v", err)
	}
	w, err := f.Ways("1.2.0")
	if err != nil || len(w.Layers[0].Deltas) != 1 || w.Layers[0].Deltas[0].From != "1.1.0" || w.Layers[0].Full == nil {
		t.Errorf("left: %+v, %v", w, err)
	}
	f.Assign("", "pilot", "1.2.0")
	if got := led(t, f, f.Publish()); got != "1.2.0=5" {
		t.Errorf("listed: %s", got)
	}
}

func TestWaysInACeremony(t *testing.T) {
	f := fleet(t)
	f.Assign("", "pilot", "1.1.0")
	must(t, f.SaveWays(waysTo(t, f, "1.1.0", 5, "1.0.0")))
	keys := elsewhere(t, f, "release")
	round := func(want string) *sign.Ceremony {
		t.Helper()
		prepared, err := f.Prepare(f.Now)
		must(t, err)
		for _, r := range []*sign.Repository{f.Repository, nil} {
			p, err := carry(t, prepared).Judge(r, f.Now)
			must(t, err)
			got := []string{}
			for _, c := range audit.Ways(p.Ways, p.NoWays) {
				got = append(got, c.Text)
			}
			if strings.Join(got, "; ") != want {
				t.Errorf("shown: %q, want %q", got, want)
			}
		}
		signed := signWith(t, prepared, f, keys, "release")
		return signed
	}
	d, err := f.Finish([]*sign.Ceremony{round("ways to 1.1.0: from 1.0.0 (5 bytes)")}, pass, f.Now)
	must(t, err)
	if got := led(t, f, d.Files); got != "1.1.0=5" {
		t.Errorf("listed: %s", got)
	}
	// What stays is not carried, and is there all the same.
	f.AddRelease("1.2.0", nil)
	must(t, f.SaveWays(waysTo(t, f, "1.2.0", 3, "1.1.0")))
	f.Assign("", "pilot", "1.2.0")
	d, err = f.Finish([]*sign.Ceremony{round("ways to 1.2.0: from 1.1.0 (3 bytes)")}, pass, f.Now)
	must(t, err)
	if got := led(t, f, d.Files); got != "1.1.0=5 1.2.0=3" {
		t.Errorf("listed: %s", got)
	}
	// A change of what was listed before is carried and shown.
	must(t, f.SaveWays(waysTo(t, f, "1.2.0", 2, "1.1.0", "1.0.0")))
	d, err = f.Finish([]*sign.Ceremony{round("ways to 1.2.0: from 1.1.0 (2 bytes), 1.0.0 (2 bytes)")}, pass, f.Now)
	must(t, err)
	if got := led(t, f, d.Files); got != "1.1.0=5 1.2.0=2" {
		t.Errorf("listed: %s", got)
	}
	f.AddRelease("1.3.0", nil)
	f.AddRelease("1.4.0", nil)
	f.Assign("", "pilot", "1.4.0")
	round("ways to 1.1.0 no longer listed")
}

// Whoever prepares a ceremony can put ways into it; who signs is not led to sign what sites refuse.
func TestHostileWaysInACeremony(t *testing.T) {
	f := fleet(t)
	f.Assign("", "pilot", "1.1.0")
	must(t, f.SaveWays(waysTo(t, f, "1.1.0", 5, "1.0.0")))
	prepared, err := f.Prepare(f.Now)
	must(t, err)
	path := ""
	for p := range prepared.Files {
		if strings.HasPrefix(p, "targets/ways/") {
			path = p
		}
	}
	for name, test := range map[string]struct {
		spoil func(w *manifest.Ways)
		want  string
	}{
		"fleet":   {func(w *manifest.Ways) { w.Fleet = "other" }, "ways/1.1.0.json describes the ways to release 1.1.0 of fleet other"},
		"release": {func(w *manifest.Ways) { w.Version = "1.0.0" }, "ways/1.1.0.json describes the ways to release 1.0.0 of fleet drc"},
		"unknown": {
			func(w *manifest.Ways) { w.Version = "9.0.0" }, "ways/9.0.0.json leads to release 9.0.0, and its list has no such release",
		},
		"from": {
			func(w *manifest.Ways) { w.Layers[0].Deltas[0].From = "0.1.0" },
			"ways/1.1.0.json begins with release 0.1.0, and its list has no such release",
		},
		"no ways": {nil, `ways/1.1.0.json: ways to "": not valid: fleet is missing`},
		"other":   {nil, `the content of "ways/1.1.0.json" in it is not what the list says`},
	} {
		c := carry(t, prepared)
		w := waysTo(t, f, "1.1.0", 5, "1.0.0")
		var data []byte
		if test.spoil != nil {
			test.spoil(w)
			data, err = w.Encode()
			must(t, err)
		} else {
			data = []byte(`{"format":1}`)
		}
		as := "ways/1.1.0.json"
		if name == "unknown" {
			as = "ways/9.0.0.json"
		}
		delete(c.Files, path)
		sum := digest.FromBytes(data).Encoded()
		if name == "other" {
			c.Files[path] = data
		} else {
			c.Files[strings.Replace(as, "ways/", "targets/ways/"+sum+".", 1)] = data
			c.Targets = edited(t, c.Targets, func(signed map[string]any) {
				targets := signed["targets"].(map[string]any)
				delete(targets, "ways/1.1.0.json")
				targets[as] = object{"length": len(data), "hashes": object{"sha256": sum}}
			})
		}
		for where, r := range map[string]*sign.Repository{"here": f.Repository, "away": nil} {
			if _, err := c.Judge(r, f.Now); !errors.Is(err, sign.ErrCeremony) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s (%s):\n got %v\nwant %s", name, where, err, test.want)
			}
		}
	}
}
