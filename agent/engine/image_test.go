package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// layerOf is a layer with one file.
func layerOf(t testing.TB, name string, content []byte) ([]byte, Layer) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	return data, Layer{
		DiffID: digest.FromBytes(data), DiffSize: int64(len(data)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// imageOf is an image with these layers; mark makes its config differ from others.
func imageOf(t testing.TB, name, mark string, layers ...Layer) Image {
	t.Helper()
	ids := []string{}
	for _, l := range layers {
		ids = append(ids, l.DiffID.String())
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/app"}, "Labels": map[string]string{"mark": mark}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(config)
	return Image{Config: config, ConfigDigest: d, Tag: "dhow.local/" + name + ":" + d.Encoded()[:tagDigits], Layers: layers}
}

// files reads an archive back.
func files(t testing.TB, r io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := out[h.Name]; twice {
			t.Fatalf("%s is in the archive twice", h.Name)
		}
		if out[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteArchive(t *testing.T) {
	baseData, base := layerOf(t, "base", []byte("base"))
	topData, top := layerOf(t, "top", []byte("top"))
	img := imageOf(t, "x", "1", base, top, top)
	for _, tt := range []struct {
		skip  int
		total int
		has   []string
	}{
		{0, len(baseData) + len(topData), []string{blobPath(base.DiffID), blobPath(top.DiffID)}},
		{1, len(topData), []string{blobPath(top.DiffID)}},
		{2, len(topData), []string{blobPath(top.DiffID)}}, // the same layer comes again above those left out
		{3, 0, nil},
	} {
		var b bytes.Buffer
		var done, total int64
		err := writeArchive(context.Background(), &b, img, tt.skip, func(d, n int64) { done, total = d, n })
		if err != nil {
			t.Fatal(err)
		}
		if done != total || int(total) != tt.total {
			t.Errorf("skip %d: progress %d of %d, want %d", tt.skip, done, total, tt.total)
		}
		got := files(t, &b)
		for _, name := range append(tt.has, "oci-layout", "index.json", "manifest.json", blobPath(img.ConfigDigest), blobPath(img.manifestDigest())) {
			if got[name] == nil {
				t.Errorf("skip %d: %s is missing", tt.skip, name)
			}
			delete(got, name)
		}
		if len(got) != 0 {
			t.Errorf("skip %d: too many files: %d", tt.skip, len(got))
		}
	}
}

func TestWriteArchiveRefusesBadLayers(t *testing.T) {
	data, good := layerOf(t, "base", []byte("base"))
	broken := errors.New("the bytes are not those of the digest")
	for name, tt := range map[string]struct {
		size int64
		r    io.Reader
		want string
	}{
		"too short":    {good.DiffSize + 10, bytes.NewReader(data), "is 10 bytes shorter than declared"},
		"too long":     {good.DiffSize - 1, bytes.NewReader(data), "is larger than its declared"},
		"wrong at end": {good.DiffSize, io.MultiReader(bytes.NewReader(data), failing{broken}), "cannot read layer " + short(good.DiffID) + ": the bytes are not"},
	} {
		l := good
		l.DiffSize, l.Open = tt.size, func() (io.ReadCloser, error) { return io.NopCloser(tt.r), nil }
		err := writeArchive(context.Background(), io.Discard, imageOf(t, "x", "1", l), 0, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestImageCheck(t *testing.T) {
	_, base := layerOf(t, "base", []byte("base"))
	_, top := layerOf(t, "top", []byte("top"))
	good := imageOf(t, "x", "1", base, top)
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Image){
		"its config is sha256:":  func(i *Image) { i.Config = append([]byte(" "), i.Config...) },
		"its layers are not":     func(i *Image) { i.Layers = i.Layers[:1] },
		"bad tag":                func(i *Image) { i.Tag = "Not A Tag" },
		"its config is larger":   func(i *Image) { i.Config = make([]byte, maxConfig+1) },
		"image config is not va": func(i *Image) { i.Config = []byte("{"); i.ConfigDigest = digest.FromBytes(i.Config) },
	} {
		img := good
		change(&img)
		if err := img.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestCommonPrefix(t *testing.T) {
	for _, tt := range []struct {
		want   string
		stacks []string
		n      int
	}{
		{"a b c", nil, 0},
		{"a b c", []string{"b c", "x a b c"}, 0},
		{"a b c", []string{"a x", "a b x y"}, 2},
		{"a b", []string{"a b c"}, 2},
		{"", []string{"a"}, 0},
	} {
		var stacks [][]string
		for _, s := range tt.stacks {
			stacks = append(stacks, strings.Fields(s))
		}
		if n := commonPrefix(strings.Fields(tt.want), stacks); n != tt.n {
			t.Errorf("%q in %q: %d, want %d", tt.want, tt.stacks, n, tt.n)
		}
	}
}

func TestConfigInArchive(t *testing.T) {
	_, base := layerOf(t, "base", []byte("base"))
	img := imageOf(t, "x", "1", base)
	var b bytes.Buffer
	if err := writeArchive(context.Background(), &b, img, 0, nil); err != nil {
		t.Fatal(err)
	}
	got, err := configInArchive(bytes.NewReader(b.Bytes()), img.manifestDigest(), img.diffIDs())
	if err != nil || got != img.ConfigDigest {
		t.Fatalf("%s %v, want %s", got, err, img.ConfigDigest)
	}
	if _, err := configInArchive(bytes.NewReader(b.Bytes()), img.manifestDigest(), []string{"sha256:other"}); err == nil {
		t.Error("other layers are taken for the image")
	}
	if _, err := configInArchive(bytes.NewReader(b.Bytes()), digest.FromString("other"), img.diffIDs()); err == nil {
		t.Error("another ID is found")
	}
	// A document that does not have its digest is not used.
	forged := bytes.Replace(b.Bytes(), []byte(`"mark":"1"`), []byte(`"mark":"2"`), 1)
	if _, err := configInArchive(bytes.NewReader(forged), img.manifestDigest(), img.diffIDs()); err == nil {
		t.Error("a forged config is believed")
	}
}

func FuzzConfigInArchive(f *testing.F) {
	_, base := layerOf(f, "base", []byte("base"))
	img := imageOf(f, "x", "1", base)
	var b bytes.Buffer
	if err := writeArchive(context.Background(), &b, img, 0, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("not a tar"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := configInArchive(bytes.NewReader(data), img.manifestDigest(), img.diffIDs()); err == nil && d != img.ConfigDigest {
			t.Errorf("found %s, which that manifest does not name", d)
		}
	})
}

func TestAnswer(t *testing.T) {
	for body, want := range map[string]string{
		"":                             "",
		`{"stream":"Loaded image: x"}`: "",
		`{"stream":"x"}{"errorDetail":{"message":"invalid diffID"},"error":"e"}`: "the engine says: invalid diffID",
		`{"error":"old words"}`: "the engine says: old words",
		`{"stream":"Loa`:        "the engine did not take the image: its answer is cut short: unexpected EOF",
	} {
		err := answer(strings.NewReader(body))
		if got := errText(err); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
		if err != nil && !errors.Is(err, ErrNotLoaded) {
			t.Errorf("%s: not ErrNotLoaded", body)
		}
	}
	full := answer(strings.NewReader(`{"errorDetail":{"message":"write /x: no space left on device"}}`))
	if refused(full) || !errors.Is(full, ErrNotLoaded) {
		t.Errorf("a full disk would be tried again with even more bytes: %v", full)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"stream":"x"}{"errorDetail":{"message":"m"},"error":"e"}`))
	f.Add([]byte(`{"stream":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := answer(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrNotLoaded) {
			t.Errorf("unmarked error: %v", err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
