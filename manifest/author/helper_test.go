package author

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

var now = time.Date(2026, 11, 21, 14, 2, 3, 4, time.FixedZone("", 3600))

// imageSpec is what a test wants to know of an image.
type imageSpec struct {
	platform string // default linux/amd64
	content  []string
	config   ggcr.Config
}

func layerTar(content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	return b.Bytes()
}

func image(t *testing.T, s imageSpec) ggcr.Image {
	t.Helper()
	img := ggcr.Image(empty.Image)
	for _, c := range s.content {
		data := layerTar(c)
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		check(t, err)
		img, err = mutate.AppendLayers(img, l)
		check(t, err)
	}
	file, err := img.ConfigFile()
	check(t, err)
	file = file.DeepCopy()
	parts := strings.Split(orText(s.platform, "linux/amd64"), "/")
	file.OS, file.Architecture = parts[0], parts[1]
	if len(parts) > 2 {
		file.Variant = parts[2]
	}
	file.Config = s.config
	img, err = mutate.ConfigFile(img, file)
	check(t, err)
	return img
}

// startRegistry returns the address of an empty registry in memory.
func startRegistry(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// push puts an image, or an index of several, under a tag.
func push(t *testing.T, ref string, images ...ggcr.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	check(t, err)
	if len(images) == 1 {
		check(t, remote.Write(r, images[0]))
		return
	}
	index := ggcr.ImageIndex(empty.Index)
	for _, img := range images {
		file, err := img.ConfigFile()
		check(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: ggcr.Descriptor{
			Platform: &ggcr.Platform{OS: file.OS, Architecture: file.Architecture, Variant: file.Variant},
		}})
	}
	check(t, remote.WriteIndex(r, index))
}

// saveFile writes images as docker save of an old engine does: a folder for each layer, a link for a layer that stands twice.
func saveFile(t *testing.T, path string, images map[string]ggcr.Image) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	var w io.Writer = f
	if strings.HasSuffix(path, "gz") {
		z := gzip.NewWriter(f)
		defer z.Close()
		w = z
	}
	out := tar.NewWriter(w)
	defer out.Close()
	add := func(h *tar.Header, data []byte) {
		h.Mode, h.Size = 0o644, int64(len(data))
		check(t, out.WriteHeader(h))
		_, err := out.Write(data)
		check(t, err)
	}
	var list []archiveImage
	written := map[string]string{}
	for _, tag := range sortedKeys(images) {
		img := images[tag]
		entry := archiveImage{RepoTags: []string{tag}}
		layers, err := img.Layers()
		check(t, err)
		config, err := img.RawConfigFile()
		check(t, err)
		id := digest.FromBytes(config).Encoded()
		entry.Config = id + ".json"
		for i, l := range layers {
			diff, err := l.DiffID()
			check(t, err)
			r, err := l.Uncompressed()
			check(t, err)
			data, err := io.ReadAll(r)
			check(t, err)
			file := digest.FromString(id+string(rune('a'+i))).Encoded() + "/layer.tar"
			if first, ok := written[diff.Hex]; ok {
				add(&tar.Header{Name: file, Typeflag: tar.TypeSymlink, Linkname: "../" + first}, nil)
			} else {
				add(&tar.Header{Name: strings.TrimSuffix(file, "layer.tar") + "VERSION", Typeflag: tar.TypeReg}, []byte("1.0"))
				add(&tar.Header{Name: file, Typeflag: tar.TypeReg}, data)
				written[diff.Hex] = file
			}
			entry.Layers = append(entry.Layers, file)
		}
		add(&tar.Header{Name: entry.Config, Typeflag: tar.TypeReg}, config)
		list = append(list, entry)
	}
	data, err := json.Marshal(list)
	check(t, err)
	add(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, data)
}

// write puts files into a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		file = filepath.Join(dir, filepath.FromSlash(file))
		check(t, os.MkdirAll(filepath.Dir(file), 0o755))
		check(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return dir
}

func openStore(t *testing.T) *bundle.Store {
	t.Helper()
	s, err := bundle.OpenStore(filepath.Join(t.TempDir(), "store"))
	check(t, err)
	return s
}

// fake is an image source in memory: every image is the same small one, with the config that the test wants.
type fake struct {
	configs   map[string]ggcr.Config
	platforms map[string][]string
}

func (fake) Name() string { return "a test" }

func (f fake) Fetch(ctx context.Context, store *bundle.Store, refs, platforms []string) (map[string][]manifest.PlatformImage, error) {
	out := map[string][]manifest.PlatformImage{}
	for _, ref := range refs {
		have := f.platforms[ref]
		if have == nil {
			have = []string{"linux/amd64"}
		}
		for _, platform := range have {
			l, err := importLayer(ctx, store, bytes.NewReader(layerTar(ref)))
			if err != nil {
				return nil, err
			}
			parts := strings.Split(platform, "/")
			config, err := json.Marshal(map[string]any{
				"os": parts[0], "architecture": parts[1], "config": f.configs[ref],
				"rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{l.DiffID}},
			})
			if err != nil {
				return nil, err
			}
			p, err := assemble(ctx, store, config, []manifest.Layer{l})
			if err != nil {
				return nil, err
			}
			out[ref] = append(out[ref], p)
		}
	}
	return out, nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails asserts the whole text of an error, and its hint.
func fails(t *testing.T, err error, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %q", text)
	}
	if err.Error() != text {
		t.Errorf("error\n got %q\nwant %q", err, text)
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T has no hint", err)
	}
	if e.Hint != hint {
		t.Errorf("hint\n got %q\nwant %q", e.Hint, hint)
	}
}

func isError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v is not %v", err, want)
	}
}
