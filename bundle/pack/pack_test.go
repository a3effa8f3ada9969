package pack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
)

var ctx = context.Background()

func contents(s *bundle.Store, r ...*manifest.Release) pack.Contents {
	return pack.Contents{
		Documents: bundletest.Documents(), Releases: r, Store: s,
		Hint: bundle.Hint{Fleet: "clinic", Made: bundletest.Made, Ring: "pilot"},
	}
}

// entries reads an archive of any compression.
func entries(t *testing.T, path string) (names []string, data map[string][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, _, err := bundle.Unpack(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	data = map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names, data
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if data[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func walk(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestWriteArchives(t *testing.T) {
	s, r := bundletest.Sample(t, 20_000)
	for end, kind := range map[string]bundle.Compression{".tar": bundle.Plain, ".tgz": bundle.Gzip, ".tar.gz": bundle.Gzip, ".tar.zst": bundle.Zstd} {
		t.Run(end, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "emr"+end)
			sum, err := pack.Write(ctx, out, contents(s, r))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if got := bundle.Detect(raw); got != kind {
				t.Errorf("it is %q", got)
			}
			names, data := entries(t, out)
			docs := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "blobs/") })
			want := []string{
				"oci-layout", "bundle.json", "metadata/1.root.json", "metadata/1.snapshot.json", "metadata/1.targets.json", "metadata/timestamp.json",
				"targets/0000000000000000000000000000000000000000000000000000000000000000.fleet.json.zst",
				"targets/releases/0000000000000000000000000000000000000000000000000000000000000000.1.0.0.json",
				"index.json", "manifest.json",
			}
			if !slices.Equal(names[:docs], want) {
				t.Errorf("documents are %q", names[:docs])
			}
			size := 0
			for _, name := range names[docs:] {
				d, ok := bundle.BlobOf(name)
				if !ok || bundletest.BlobOf(data[name]).Digest != d {
					t.Errorf("%s is not what its name says", name)
				}
				if len(data[name]) < size {
					t.Errorf("%s is smaller than the one before it", name)
				}
				size = len(data[name])
			}
			if sum.Documents != docs || sum.Blobs != len(names)-docs || sum.Size != int64(len(raw)) || len(sum.Warnings) != 0 {
				t.Errorf("summary %+v", sum)
			}
			again := filepath.Join(t.TempDir(), "again"+end)
			if _, err := pack.Write(ctx, again, contents(s, r)); err != nil {
				t.Fatal(err)
			}
			if second, _ := os.ReadFile(again); !bytes.Equal(raw, second) {
				t.Error("a second bundle of the same is another one")
			}
		})
	}
}

func TestDockerManifest(t *testing.T) {
	type entry struct {
		Config           string
		RepoTags, Layers []string
	}
	read := func(t *testing.T, c pack.Contents) ([]entry, []string) {
		out := filepath.Join(t.TempDir(), "a.tar")
		sum, err := pack.Write(ctx, out, c)
		if err != nil {
			t.Fatal(err)
		}
		_, data := entries(t, out)
		var list []entry
		if raw := data["manifest.json"]; raw != nil {
			if err := json.Unmarshal(raw, &list); err != nil {
				t.Fatal(err)
			}
		}
		return list, sum.Warnings
	}
	s, r := bundletest.Sample(t, 1000)
	list, _ := read(t, contents(s, r))
	if len(list) != 2 {
		t.Fatalf("%d images", len(list))
	}
	for n, i := range r.Images {
		p := i.Platforms[0]
		if list[n].Config != bundle.BlobPath(p.Config.Digest) || !slices.Equal(list[n].RepoTags, []string{i.Ref}) || list[n].Layers[1] != bundle.BlobPath(p.Layers[1].Digest) {
			t.Errorf("image %d: %+v", n, list[n])
		}
	}
	layer := r.Images[0].Platforms[0].Layers[0]
	image := func(ref, platform string) manifest.Image { return bundletest.Image(t, s, ref, platform, layer) }
	for _, c := range []struct {
		ref, tag string
	}{
		{"clinic/db", "clinic/db:latest"},
		{"localhost:5000/db", "localhost:5000/db:latest"},
		{"localhost:5000/db:1@sha256:" + strings.Repeat("0", 64), "localhost:5000/db:1"},
		{"sha256:" + strings.Repeat("0", 64), ""},
		{"Upper Case", ""},
	} {
		list, _ := read(t, contents(s, bundletest.Release(t, s, "1.0.0", image(c.ref, "linux/amd64"))))
		if got := strings.Join(list[0].RepoTags, " "); got != c.tag {
			t.Errorf("%s is tagged %q", c.ref, got)
		}
	}
	// a tag that moves from release to release is the newest one's
	a, b := image("clinic/db:1", "linux/amd64"), r.Images[1]
	b.Ref = "clinic/db:1"
	list, _ = read(t, contents(s, bundletest.Release(t, s, "1.0.0", a), bundletest.Release(t, s, "1.1.0", b)))
	if len(list) != 2 || len(list[0].RepoTags) != 0 || !slices.Equal(list[1].RepoTags, []string{"clinic/db:1"}) {
		t.Errorf("%+v", list)
	}
	// two platforms, and zstd
	both := a
	both.Platforms = append(both.Platforms, image("clinic/db:1", "linux/arm64").Platforms...)
	multi := contents(s, bundletest.Release(t, s, "1.0.0", both))
	list, warnings := read(t, multi)
	if list != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "several platforms") {
		t.Errorf("%+v, warnings %q", list, warnings)
	}
	multi.Platform = "linux/arm64"
	if list, warnings = read(t, multi); len(list) != 1 || len(warnings) != 0 {
		t.Errorf("%+v, warnings %q", list, warnings)
	}
	packed := bundletest.Image(t, s, "clinic/z:1", "linux/amd64", bundletest.Layer(t, s, bundle.Zstd, bundletest.Tar(t, map[string]string{"z": "z"})))
	list, warnings = read(t, contents(s, bundletest.Release(t, s, "1.0.0", packed)))
	if list != nil || len(warnings) != 1 || warnings[0] != "plain docker load can't be used on this bundle: layers of clinic/z:1 are compressed with zstd" {
		t.Errorf("%+v, warnings %q", list, warnings)
	}
}

func TestWriteLeavesNothingHalf(t *testing.T) {
	s, r := bundletest.Sample(t, 20_000)
	dir := t.TempDir()
	out := filepath.Join(dir, "emr.tgz")
	if _, err := pack.Write(ctx, out, contents(s, r)); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(out)
	last := r.Images[1].Platforms[0].Layers[1].Blob
	rot(t, s, last)
	for _, path := range []string{out, filepath.Join(dir, "new.tgz")} {
		_, err := pack.Write(ctx, path, contents(s, r))
		if !errors.Is(err, bundle.ErrDamaged) || !strings.HasPrefix(err.Error(), "cannot write bundle "+path+": blob "+last.Digest.String()) {
			t.Errorf("error %v", err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := pack.Write(ended, out, contents(s, r)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if after, _ := os.ReadFile(out); !bytes.Equal(before, after) {
		t.Error("the bundle that was there has changed")
	}
	if got := walk(t, dir); !slices.Equal(got, []string{"emr.tgz"}) {
		t.Errorf("folder holds %q", got)
	}
	if err := s.Remove(last.Digest); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Write(ctx, out, contents(s, r))
	if err == nil || !strings.Contains(err.Error(), "is not in the store") {
		t.Errorf("error %v", err)
	}
	if _, err := pack.Write(ctx, filepath.Join(dir, "a.tar"), pack.Contents{Store: s, Documents: map[string][]byte{"../evil": nil}}); err == nil {
		t.Error("a document outside the layout is no error")
	}
	c := contents(s, r)
	c.Platform = "linux/arm64"
	if _, err := pack.Write(ctx, out, c); !errors.Is(err, manifest.ErrPlatform) {
		t.Errorf("error %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d.tar"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.Write(ctx, filepath.Join(dir, "d.tar"), pack.Contents{Store: s}); err == nil {
		t.Error("a folder was replaced")
	}
}

// rot flips a bit in the middle of a blob.
func rot(t *testing.T, s *bundle.Store, b manifest.Blob) {
	t.Helper()
	path := filepath.Join(s.Dir(), filepath.FromSlash(bundle.BlobPath(b.Digest)))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPublishDir(t *testing.T) {
	s, r := bundletest.Sample(t, 20_000)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := pack.PublishDir(ctx, dir, contents(s, r)); err != nil {
		t.Fatal(err)
	}
	names := walk(t, dir)
	if slices.Contains(names, "bundle.json") || slices.Contains(names, "manifest.json") || !slices.Contains(names, "metadata/timestamp.json") {
		t.Errorf("folder holds %q", names)
	}
	// What is there stays; leftovers go; what somebody damaged by cutting it is written anew.
	blobs := filepath.Join(dir, "blobs", "sha256")
	kept := filepath.Join(blobs, r.Images[0].Platforms[0].Layers[1].Digest.Encoded())
	cut := filepath.Join(blobs, r.Images[1].Platforms[0].Layers[1].Digest.Encoded())
	before, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(cut, 10); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{".", "blobs/sha256", "metadata", "targets/releases"} {
		if err := os.WriteFile(filepath.Join(dir, place, durable.TempPrefix+"1"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := contents(s, r, bundletest.Release(t, s, "1.1.0", r.Images[0]))
	next.Documents["metadata/timestamp.json"] = []byte(`{"timestamp":2}`)
	if err := pack.PublishDir(ctx, dir, next); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(kept)
	if err != nil || !os.SameFile(before, after) {
		t.Error("a blob that was there was written again")
	}
	for _, name := range walk(t, dir) {
		if strings.Contains(name, durable.TempPrefix) {
			t.Errorf("left behind: %s", name)
		}
	}
	src := source(t, dir)
	if got, err := src.Document(ctx, bundle.TimestampPath, 100); err != nil || string(got) != `{"timestamp":2}` {
		t.Errorf("%q, error %v", got, err)
	}
	if err := fetch.Verify(ctx, src, wantsOf(t, next.Releases[1]), nil); err != nil {
		t.Error(err)
	}
	if err := fetch.Verify(ctx, src, wantsOf(t, r), nil); err != nil {
		t.Error(err)
	}
}

// TestTimestampComesLast: a publication that fails in the middle shows sites nothing new.
func TestTimestampComesLast(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	dir := t.TempDir()
	if err := pack.PublishDir(ctx, dir, contents(s, r)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"metadata/1.targets.json", "targets/releases"} { // a folder is in the way of a file, and a file in that of a folder
		path := filepath.Join(dir, name)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
		c := contents(s, r)
		c.Documents["metadata/timestamp.json"] = []byte("new")
		if err := pack.PublishDir(ctx, dir, c); err == nil {
			t.Error("no error")
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "metadata", "timestamp.json")); string(got) == "new" {
			t.Error("the new timestamp is there")
		}
	}
}

func TestWriteFolder(t *testing.T) {
	s, r := bundletest.Sample(t, 1000)
	dir := t.TempDir() // a stick with other things on it
	photo := filepath.Join(dir, "photo.jpg")
	if err := os.WriteFile(photo, []byte("family"), 0o644); err != nil {
		t.Fatal(err)
	}
	var sums []pack.Summary
	for range 2 {
		sum, err := pack.Write(ctx, dir, contents(s, r))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	if sums[0].Written != sums[0].Bytes || sums[1].Written != 0 {
		t.Errorf("written %d and %d of %d bytes", sums[0].Written, sums[1].Written, sums[0].Bytes)
	}
	if data, err := os.ReadFile(photo); err != nil || string(data) != "family" {
		t.Errorf("%q, error %v", data, err)
	}
	src := source(t, dir)
	hint, err := bundle.ReadHint(ctx, src)
	if err != nil || hint.Ring != "pilot" || !slices.Equal(hint.Releases, []string{"1.0.0"}) {
		t.Errorf("hint %+v, error %v", hint, err)
	}
	if err := fetch.Verify(ctx, src, wantsOf(t, r), nil); err != nil {
		t.Error(err)
	}
}
