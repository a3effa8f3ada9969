package bundle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/bundle"

	"github.com/opencontainers/go-digest"
)

func TestIsDocument(t *testing.T) {
	for path, want := range map[string]bool{
		"oci-layout": true, "index.json": true, "manifest.json": true, "bundle.json": true, "metadata/timestamp.json": true,
		"metadata/1.root.json": true, "targets/releases/00.1.0.0.json": true,
		"": false, ".": false, "metadata": false, "metadata/": false, "metadata/../../x": false, "/metadata/timestamp.json": false,
		"metadata//timestamp.json": false, "metadata/./timestamp.json": false, "../metadata/timestamp.json": false,
		`metadata\..\..\x`: false, "metadata/c:x": false, "metadata/a\x00b": false, "other/x": false, "blobs/sha256/x": false,
	} {
		if got := bundle.IsDocument(path); got != want {
			t.Errorf("IsDocument(%q) = %v", path, got)
		}
	}
}

func TestBlobPaths(t *testing.T) {
	d := digest.FromString("a")
	path := bundle.BlobPath(d)
	if got, ok := bundle.BlobOf(path); !ok || got != d {
		t.Errorf("%q is %q", path, got)
	}
	for _, path := range []string{
		"", "blobs/sha256", "blobs/sha256/", path + "0", path[:len(path)-1], strings.ToUpper(path), "./" + path, "/" + path,
		"x/" + path, "blobs/sha512/" + d.Encoded(), "blobs/sha256/../" + d.Encoded(),
	} {
		if got, ok := bundle.BlobOf(path); ok {
			t.Errorf("%q is %q", path, got)
		}
	}
	if got := bundle.RootPath(12); got != "metadata/12.root.json" {
		t.Error(got)
	}
	if got := bundle.ReleaseTag("1.1.0+b7"); got != "release-1.1.0_b7" {
		t.Error(got)
	}
}

func TestHint(t *testing.T) {
	h := bundle.Hint{
		Fleet: "clinic", Made: time.Date(2026, 3, 1, 12, 0, 0, 999, time.FixedZone("", 3600)),
		Releases: []string{"1.0.0", "1.1.0"}, Site: "kin-001", Since: "0.9.0",
	}
	data, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.ParseHint(data)
	if err != nil {
		t.Fatal(err)
	}
	h.Format, h.Made = 1, time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	if !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, want %+v", got, h)
	}
	many, _ := json.Marshal(map[string]any{"format": 1, "releases": make([]string, 1001)})
	for _, c := range []struct {
		data, want string
		kind       error
	}{
		{"", "cannot read bundle.json: damaged: not valid: not JSON at byte 0", bundle.ErrDamaged},
		{"<html>", "cannot read bundle.json: damaged: ", bundle.ErrDamaged},
		{"{}", "cannot read bundle.json: damaged: it has no format", bundle.ErrDamaged},
		{`{"format":2}`, "cannot read bundle.json: its format is 2 and this program reads up to 1: update dhow", nil},
		{string(many), "cannot read bundle.json: larger than allowed: 1001 releases, at most 1000", bundle.ErrTooLarge},
		{strings.Repeat(" ", bundle.MaxHint+1), "cannot read bundle.json: larger than allowed: 65537 bytes, at most 65536", bundle.ErrTooLarge},
		{strings.Repeat("[", 60_000), "cannot read bundle.json: damaged: larger than allowed: nested more than 4 deep", bundle.ErrDamaged},
		{`{"format":1,"site":"a","site":"b"}`, `cannot read bundle.json: damaged: not valid: the key "site" stands twice in one object`, bundle.ErrDamaged},
		{`{"format":1,"site":"a\u001b[2J"}`, "cannot read bundle.json: damaged: it has control characters", bundle.ErrDamaged},
		{`{"format":1,"site":7}`, "cannot read bundle.json: damaged: json: cannot unmarshal number", bundle.ErrDamaged},
	} {
		_, err := bundle.ParseHint([]byte(c.data))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%.40q: error %v", c.data, err)
		}
	}
}

func FuzzParseHint(f *testing.F) {
	f.Add([]byte(`{"format":1,"fleet":"clinic","made":"2026-03-01T12:00:00Z","releases":["1.0.0"],"site":"a","ring":"b"}`))
	f.Add([]byte(`{"format":9}`))
	f.Add([]byte(`{"format":1,"made":"9999-99-99"}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := bundle.ParseHint(data)
		if err != nil {
			return
		}
		again, err := h.Encode()
		if err != nil {
			return // a year beyond 9999 can be read in another zone and not be written
		}
		if got, err := bundle.ParseHint(again); err == nil && fmt.Sprint(got.Releases) != fmt.Sprint(h.Releases) {
			t.Errorf("%v became %v", h, got)
		}
	})
}

func FuzzPaths(f *testing.F) {
	for _, s := range []string{"metadata/1.root.json", "../x", "blobs/sha256/" + strings.Repeat("0", 64), `a\b`, "a//b", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if bundle.IsDocument(path) && (!filepath.IsLocal(path) || filepath.ToSlash(filepath.Clean(path)) != path) {
			t.Errorf("%q is no safe document", path)
		}
		if d, ok := bundle.BlobOf(path); ok && bundle.BlobPath(d) != path {
			t.Errorf("%q is not the path of %q", path, d)
		}
	})
}

func TestDocumentDigest(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for path, want := range map[string]bool{
		"targets/" + sum + ".fleet.json.zst": true, "targets/releases/" + sum + ".1.1.0.json": true, "targets/sites/" + sum + ".json.zst": true,
		"targets/" + sum: false, "metadata/" + sum + ".json": false, "targets/" + sum[1:] + ".x": false, "targets/../" + sum + ".x": false,
		"targets/" + strings.ToUpper(sum) + ".x": false, "": false, "targets/x/../" + sum + ".x": false,
	} {
		d, ok := bundle.DocumentDigest(path)
		if ok != want || ok && d.Encoded() != sum {
			t.Errorf("%s: %v, %s", path, ok, d)
		}
	}
}
