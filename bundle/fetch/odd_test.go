package fetch_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"

	"github.com/opencontainers/go-digest"
)

// TestOddArchives: what copying, packing again and malice make of archives.
func TestOddArchives(t *testing.T) {
	p := publish(t, 20_000)
	list := items(t, p)
	last := list[len(list)-1]
	tarOf := func(list []item) []byte {
		data, err := os.ReadFile(writeArchive(t, bundle.Plain, list))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	whole := tarOf(list)
	packed := bundletest.Compress(t, bundle.Gzip, whole)
	members := bytes.Clone(packed[:0])
	for at := 0; at < len(whole); at += 10_000 {
		members = append(members, bundletest.Compress(t, bundle.Gzip, whole[at:min(len(whole), at+10_000)])...)
	}
	frames := []byte{}
	for at := 0; at < len(whole); at += 10_000 {
		frames = append(frames, bundletest.Compress(t, bundle.Zstd, whole[at:min(len(whole), at+10_000)])...)
	}
	for _, c := range []struct {
		name string
		data []byte
		kind error // nil for one that is as good as any
		want string
	}{
		{"several gzip members", members, nil, ""},
		{"several zstd frames", frames, nil, ""},
		{"padded to blocks of a tape", append(bytes.Clone(whole), make([]byte, 20*512)...), nil, ""},
		{"a blob twice", tarOf(append(list[:len(list):len(list)], last)), nil, ""},
		{
			"a blob twice, wrong the second time", tarOf(append(list[:len(list):len(list)], item{name: last.name, data: strings.Repeat("x", len(last.data))})),
			bundle.ErrDamaged, "its content has the digest",
		},
		{"a blob of another length", tarOf(append(list[:len(list)-1:len(list)-1], item{name: last.name, data: last.data[1:]})), bundle.ErrDamaged, "bytes, not "},
		{"garbage behind gzip", append(bytes.Clone(packed), "garbage"...), bundle.ErrDamaged, "it is damaged"},
		{"the sum of gzip is wrong", append(bytes.Clone(packed[:len(packed)-8]), 1, 2, 3, 4, 0, 0, 0, 0), bundle.ErrDamaged, "it is damaged"},
		{"something behind the end", append(bytes.Clone(whole), bytes.Repeat([]byte("x"), 17<<20)...), bundle.ErrDamaged, "something follows its end"},
		{"gzip of gzip", bundletest.Compress(t, bundle.Gzip, packed), bundle.ErrDamaged, "it is damaged"},
		{"window of 512 MB", wide(t), bundle.ErrDamaged, "it is damaged"},
		{"length in the billions", lying(t, whole, last, 1<<33), bundle.ErrTooLarge, "it unpacks to far more than a bundle does"},
		{"a little too long", lying(t, whole, last, int64(len(last.data))+100_000), bundle.ErrDamaged, "bytes, not "},
		{"empty", nil, bundle.ErrDamaged, "cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "emr.tgz")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			site := bundletest.Store(t)
			src, err := fetch.Open(ctx, path)
			if err == nil {
				_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
			}
			if c.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				all(t, site, p.wants)
				return
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			empty(t, site)
		})
	}
}

// wide is a zstd frame whose header asks for a window of 512 MB.
func wide(t *testing.T) []byte {
	t.Helper()
	data := bundletest.Compress(t, bundle.Zstd, make([]byte, 4<<20))
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (29 - 10) << 3}, data[6:]...)
}

// lying changes the length that the header of an entry names.
func lying(t *testing.T, archive []byte, entry item, size int64) []byte {
	t.Helper()
	at := bytes.Index(archive, []byte(entry.name))
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: entry.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		t.Fatal(err)
	}
	return append(append(bytes.Clone(archive[:at]), head.Bytes()...), archive[at+512:]...)
}

// TestCutSaves cuts what docker save wrote: nothing of it stays, but for an old engine's, whose names say nothing, what was whole is right.
func TestCutSaves(t *testing.T) {
	p := publish(t, 20_000)
	image := p.release.Images[0].Platforms[0]
	var wants []fetch.Want
	for _, w := range p.wants {
		if w.Forms[0].Digest == image.Config.Digest || w.Forms[0].Digest == image.Layers[1].Digest {
			wants = append(wants, w)
		}
	}
	for name, list := range saves(t, p) {
		if name == "names that lie" {
			continue
		}
		whole, err := os.ReadFile(writeArchive(t, bundle.Gzip, list))
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < 8; n++ {
			path := filepath.Join(t.TempDir(), "save.tgz")
			if err := os.WriteFile(path, whole[:len(whole)*n/8], 0o644); err != nil {
				t.Fatal(err)
			}
			site := bundletest.Store(t)
			src, err := fetch.Open(ctx, path)
			if err == nil {
				_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, wants, quick)
			}
			if !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "cut short") {
				t.Errorf("%s cut at %d/8: error %v", name, n, err)
			}
			empty(t, site)
		}
	}
}

// TestSaveOfOthers: what other tools write of an image serves as well.
func TestSaveOfOthers(t *testing.T) {
	p := publish(t, 20_000)
	image := p.release.Images[0].Platforms[0]
	layer := func(n int) string {
		r, err := p.store.OpenLayer(image.Layers[n])
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	list := []item{
		{name: image.Layers[0].DiffID.Encoded() + ".tar", data: layer(0)},
		{name: digest.FromString("top").Encoded() + "/VERSION", data: "1.0"},
		{name: digest.FromString("top").Encoded() + "/layer.tar", kind: tar.TypeSymlink, link: "../" + image.Layers[0].DiffID.Encoded() + ".tar"},
		{name: image.Layers[1].DiffID.Encoded() + ".tar", data: layer(1)},
		{name: image.Config.Digest.Encoded() + ".json", data: string(contentOf(t, p.store, image.Config))},
		{name: "manifest.json", data: "[]"},
	}
	site := bundletest.Store(t)
	_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, writeArchive(t, bundle.Gzip, list))}, p.wants, quick)
	if err == nil {
		t.Error("files and the other image are not in it")
	}
	if err := site.VerifyImage(ctx, image); err != nil {
		t.Error(err)
	}
}
