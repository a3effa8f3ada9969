package fetch_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
)

// TestChooseBundle: a stick that has been used before holds several bundles. People name the stick.
func TestChooseBundle(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	hint := func(fleet string, made time.Time, releases ...string) []item {
		data, err := bundle.Hint{Fleet: fleet, Made: made, Releases: releases}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return []item{{name: bundle.HintPath, data: string(data)}, {name: bundle.TimestampPath, data: "{}"}}
	}
	save := []item{{name: "manifest.json", data: "[]"}, {name: "abc/layer.tar", data: "x"}}
	for _, c := range []struct {
		name  string
		files map[string][]item
		want  string // file, or the end of the error
		kind  error
	}{
		{
			"the newest release, not the newest file",
			map[string][]item{
				"a.tgz": hint("emr", noon, "1.10.0"), "b.tar": hint("emr", noon.Add(time.Hour), "1.9.0"), "c.tar.zst": hint("emr", noon, "1.2.0", "1.0.0"),
			},
			"a.tgz", nil,
		},
		{
			"of the same release the one that was made last",
			map[string][]item{"a.tgz": hint("emr", noon, "1.1.0"), "b.tgz": hint("emr", noon.Add(time.Hour), "1.1.0")},
			"b.tgz", nil,
		},
		{
			"the highest of several in one bundle counts",
			map[string][]item{"a.tgz": hint("emr", noon, "1.1.0", "2.0.0"), "b.tgz": hint("emr", noon.Add(time.Hour), "1.3.0")},
			"a.tgz", nil,
		},
		{"copies", map[string][]item{"a.tgz": hint("emr", noon, "1.1.0"), "copy.tgz": hint("emr", noon, "1.1.0")}, "a.tgz", nil},
		{"docker save beside it", map[string][]item{"a.tar": save, "b.tgz": hint("emr", noon, "1.1.0")}, "b.tgz", nil},
		{
			"two fleets",
			map[string][]item{"a.tgz": hint("emr", noon, "1.1.0"), "b.tgz": hint("lab", noon, "1.2.0")},
			`the folder holds several bundles, name one of them: a.tgz, b.tgz (a.tgz is of fleet "emr" and b.tgz of fleet "lab")`, fetch.ErrSeveral,
		},
		{
			"no hint",
			map[string][]item{"a.tgz": hint("emr", noon, "1.1.0"), "b.tgz": {{name: bundle.TimestampPath, data: "{}"}}},
			"the folder holds several bundles, name one of them: a.tgz, b.tgz (b.tgz: it does not say what is in it)", fetch.ErrSeveral,
		},
		{
			"no release",
			map[string][]item{"a.tgz": hint("emr", noon, "new"), "b.tgz": hint("emr", noon, "1.1.0")},
			"the folder holds several bundles, name one of them: a.tgz, b.tgz (a.tgz: it does not say which release is in it)", fetch.ErrSeveral,
		},
		{
			"damaged",
			map[string][]item{"a.tgz": nil, "b.tgz": hint("emr", noon, "1.1.0")},
			"the folder holds several bundles, name one of them: a.tgz, b.tgz (a.tgz: it is damaged: cut short)", fetch.ErrSeveral,
		},
		{
			"docker save only",
			map[string][]item{"a.tar": save, "b.tar": save},
			"the folder holds several bundles, name one of them: a.tar, b.tar (none says what is in it)", fetch.ErrSeveral,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, items := range c.files {
				if items == nil {
					if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				copyFile(t, writeArchive(t, bundle.Gzip, items), filepath.Join(dir, name))
			}
			src, err := fetch.Open(ctx, dir)
			if c.kind == nil {
				if err != nil || src.Name() != filepath.Join(dir, c.want) {
					t.Errorf("got %v, error %v, want %s", src, err, c.want)
				}
				return
			}
			if want := "cannot open source " + dir + ": " + c.want; err == nil || err.Error() != want || !errors.Is(err, c.kind) {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}
