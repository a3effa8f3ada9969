package author

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"dhow/manifest"
)

func savedOptions(t *testing.T, file string) Options {
	dir := write(t, map[string]string{"compose.yaml": `
services:
  app: {image: "clinic/app:1"}
  db: {image: "mariadb:10.11", environment: {MARIADB_ROOT_PASSWORD_FILE: /run/pw}, volumes: ["db:/var/lib/mysql"]}
volumes: {db: }
`})
	return Options{
		Version: "1.0.0", Fleet: "f", Project: "p", Files: []string{filepath.Join(dir, "compose.yaml")},
		Images: SaveFile{file}, Store: openStore(t), Now: now,
	}
}

func TestSaveFile(t *testing.T) {
	app := image(t, imageSpec{content: []string{"base", "app"}})
	db := image(t, imageSpec{content: []string{"base", "db", "base"}})
	var first *manifest.Release
	for _, file := range []string{"images.tar", "images.tgz"} {
		file = filepath.Join(t.TempDir(), file)
		saveFile(t, file, map[string]ggcr.Image{"clinic/app:1": app, "mariadb:10.11": db})
		o := savedOptions(t, file)
		r, _, err := Create(t.Context(), o)
		check(t, err)
		for i, img := range []ggcr.Image{app, db} {
			p := r.Images[i].Platforms[0]
			want, err := img.ConfigName()
			check(t, err)
			equal(t, "config", p.Config.Digest, digest.Digest(want.String()))
			equal(t, "platform", p.Platform, "linux/amd64")
			check(t, o.Store.VerifyImage(t.Context(), p))
			layers, err := img.Layers()
			check(t, err)
			equal(t, "layers", len(p.Layers), len(layers))
			for n, l := range layers {
				id, err := l.DiffID()
				check(t, err)
				equal(t, "diff ID", p.Layers[n].DiffID, digest.Digest(id.String()))
				equal(t, "unpacked", p.Layers[n].DiffSize, int64(len(layerTar("x"))))
			}
		}
		equal(t, "databases", r.Databases, []manifest.Database{{Service: "db", Engine: "mariadb", Version: "10.11", User: "root", PasswordEnv: "MARIADB_ROOT_PASSWORD"}})
		if first == nil {
			first = r
		}
		equal(t, "images", r.Images, first.Images) // however the file is packed
	}
}

func TestSaveFileErrors(t *testing.T) {
	app := image(t, imageSpec{content: []string{"app"}})
	db := image(t, imageSpec{content: []string{"db"}})
	arm := image(t, imageSpec{platform: "linux/arm/v7", content: []string{"app"}})
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	saveFile(t, path("one.tar"), map[string]ggcr.Image{"clinic/app:2": app, "mariadb:10.11": db})
	saveFile(t, path("mixed.tar"), map[string]ggcr.Image{"clinic/app:1": arm, "mariadb:10.11": db})
	saveFile(t, path("good.tgz"), map[string]ggcr.Image{"clinic/app:1": app, "mariadb:10.11": db})
	check(t, os.WriteFile(path("text"), []byte("hello"), 0o644))
	good, err := os.ReadFile(path("good.tgz"))
	check(t, err)
	check(t, os.WriteFile(path("short.tgz"), good[:len(good)/2], 0o644))
	var other bytes.Buffer
	w := tar.NewWriter(&other)
	check(t, w.WriteHeader(&tar.Header{Name: "readme", Size: 2, Typeflag: tar.TypeReg}))
	_, _ = w.Write([]byte("hi"))
	check(t, w.Close())
	check(t, os.WriteFile(path("other.tar"), other.Bytes(), 0o644))

	for _, c := range []struct{ file, platform, text, hint string }{
		{
			"one.tar", "", "compose.yaml:3: service app: image clinic/app:1: one.tar: no such image in it (it has clinic/app:2, mariadb:10.11)",
			"check the name and the tag, or say where images come from: --images",
		},
		{
			"mixed.tar", "", "compose.yaml:4: clinic/app:1 is made for linux/arm/v7 and mariadb:10.11 for linux/amd64: there is no computer on which both run",
			"choose with --platform",
		},
		{"good.tgz", "linux/arm64", "compose.yaml:3: service app: image clinic/app:1: good.tgz: image is not made for this platform: " +
			"it is made for linux/amd64 only, and [linux/arm64] is wanted", "choose with --platform, or build the image for it"},
	} {
		o := savedOptions(t, path(c.file))
		if c.platform != "" {
			o.Platforms = []string{c.platform}
		}
		_, _, err := Create(t.Context(), o)
		fails(t, err, c.text, c.hint)
	}
	for file, want := range map[string]string{
		"text":      "cannot read images from " + path("text") + ": image is damaged or cut short: unexpected EOF",
		"short.tgz": "cannot read images from " + path("short.tgz") + ": image is damaged",
		"other.tar": "cannot read images from " + path("other.tar") + ": it is not a file of docker save: it has no manifest.json",
		"none":      "cannot read images: open " + path("none") + ": ",
	} {
		_, _, err := Create(t.Context(), savedOptions(t, path(file)))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %q does not begin with %q", file, err, want)
		}
	}
}

// FuzzArchive: no archive, whatever it holds, does more than fail.
func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, kind byte, link, data string) {
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: link, Size: int64(len(data)), Mode: 0o644})
		_, _ = w.Write([]byte(data))
	}
	layer := string(layerTar("x"))
	config := `{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["` + digest.FromString(layer).String() + `"]}}`
	add("a/layer.tar", tar.TypeReg, "", layer)
	add("b/layer.tar", tar.TypeSymlink, "../a/layer.tar", "")
	add("c.json", tar.TypeReg, "", config)
	add("manifest.json", tar.TypeReg, "", `[{"Config":"c.json","RepoTags":["a:1"],"Layers":["b/layer.tar"]}]`)
	_ = w.Close()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:600])
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := openStore(t)
		a, err := readArchive(t.Context(), store, bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, i := range a.images {
			images, err := a.image(t.Context(), store, i, nil)
			if err != nil {
				continue
			}
			if err := store.VerifyImage(t.Context(), images[0]); err != nil {
				t.Fatalf("accepted an image that does not hold: %v", err)
			}
		}
	})
}
