//go:build unix

package stick

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// filled is a stick with files; a name that ends with / is a folder.
func filled(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		path := filepath.Join(dir, n)
		folder := filepath.Dir(path)
		if strings.HasSuffix(n, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if folder == path {
			continue
		}
		if err := os.WriteFile(path, []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func seen(t *testing.T, dir string) string {
	t.Helper()
	list, err := Look(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(list))
	for _, b := range list {
		rel, err := filepath.Rel(dir, b.Path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.ToSlash(rel))
	}
	return strings.Join(names, " ")
}

func TestLook(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"nothing", nil, ""},
		{"other things", []string{"photo.jpg", "letter.doc", "empty/", ".hidden.tgz", "._emr.tgz", ".Trash-1000/emr.tgz"}, ""},
		{"a file", []string{"emr.tgz"}, "emr.tgz"},
		{"every kind", []string{"a.tar", "b.tar.gz", "c.tar.zst", "D.TGZ", "e.zip"}, "D.TGZ a.tar b.tar.gz c.tar.zst"},
		{"one level of folders", []string{"updates/emr.tgz", "updates/deep/emr.tgz"}, "updates/emr.tgz"},
		{"in parts", []string{"emr.tgz.001", "emr.tgz.002", "emr.tgz.p01", "emr.tgz.sums", "letter.001"}, "emr.tgz.sums"},
		{"a part alone", []string{"u/emr.tgz.002"}, "u/emr.tgz.sums"},
		{"a layout", []string{"metadata/timestamp.json", "blobs/sha256/aa", "oci-layout"}, "."},
		{"a layout in a folder", []string{"emr/metadata/timestamp.json", "emr/blobs/sha256/aa", "x.tgz"}, "emr x.tgz"},
		{"a folder called metadata", []string{"metadata/photo.json"}, ""},
		{"a folder called like a bundle", []string{"emr.tgz/", "emr.tgz/a.txt"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := seen(t, filled(t, c.files...)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Nothing that is no regular file is ever opened, and no link is followed: neither out of the stick nor round and round.
func TestLookLeavesAloneWhatIsNoFile(t *testing.T) {
	dir := filled(t, "emr.tgz", "u/x.tgz")
	outside := filled(t, "foreign.tgz", "metadata/timestamp.json")
	for link, to := range map[string]string{
		"loop": ".", "u/loop": "..", "out": outside, "link.tgz": filepath.Join(outside, "foreign.tgz"), "metadata": filepath.Join(outside, "metadata"),
		"itself.tgz": "itself.tgz", "dev.tgz": "/dev/zero",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.tgz"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(filepath.Join(dir, "zero.tgz"), syscall.S_IFCHR|0o644, 1<<8|5); err != nil {
		t.Fatalf("%v (this test runs as root)", err)
	}
	if got := seen(t, dir); got != "emr.tgz u/x.tgz" {
		t.Errorf("got %q", got)
	}
}

func TestLookIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 20_000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("photo-%05d.jpg", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * mostBundles {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("b-%03d.tgz", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Look(t.Context(), dir)
	if err != nil || len(list) != mostBundles {
		t.Errorf("got %d, %v", len(list), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Look(ctx, dir); err == nil {
		t.Error("it went on")
	}
}

func TestKeyChangesWithTheBundle(t *testing.T) {
	for _, c := range []struct {
		files  []string
		change string
	}{
		{[]string{"emr.tgz"}, "emr.tgz"},
		{[]string{"emr.tgz.001", "emr.tgz.002", "emr.tgz.sums"}, "emr.tgz.002"},
		{[]string{"emr.tgz.001", "emr.tgz.sums"}, "emr.tgz.002"},
		{[]string{"metadata/timestamp.json"}, "metadata/timestamp.json"},
	} {
		dir := filled(t, c.files...)
		before, err := Look(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Look(t.Context(), dir)
		if err != nil || !slices.Equal(before, again) {
			t.Errorf("%v: %v is not %v, %v", c.files, again, before, err)
		}
		if err := os.WriteFile(filepath.Join(dir, c.change), []byte("longer than it was before"), 0o644); err != nil {
			t.Fatal(err)
		}
		after, err := Look(t.Context(), dir)
		if err != nil || len(after) != 1 || after[0].Path != before[0].Path || after[0].Key == before[0].Key {
			t.Errorf("%v: %v, was %v, %v", c.files, after, before, err)
		}
	}
}

func TestLookAtWhatIsGone(t *testing.T) {
	if list, err := Look(t.Context(), filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) || len(list) > 0 {
		t.Errorf("got %v, %v", list, err)
	}
}
