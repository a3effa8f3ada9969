//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageChange says how a variant differs from the image that it is made of.
type imageChange struct {
	label string // put into the image, so that it has another identity
	arch  string
	extra int // bytes of zeros in one more layer
	noise int // bytes that don't compress in one more layer
}

// variant pushes a changed copy of an image in the test registry under another tag.
func variant(t testing.TB, repository, from, to string, change func(*imageChange)) {
	t.Helper()
	var c imageChange
	change(&c)
	image, err := remote.Image(reference(t, repository, from))
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, c.noise)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for name, data := range map[string][]byte{"zeros": make([]byte, c.extra), "noise": noise} {
		if len(data) == 0 {
			continue
		}
		layer, err := oneFile(name, data)
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	if c.label != "" {
		if config.Config.Labels == nil {
			config.Config.Labels = map[string]string{}
		}
		config.Config.Labels["variant"] = c.label
	}
	if c.arch != "" {
		config.Architecture = c.arch
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, repository, to), image); err != nil {
		t.Fatal(err)
	}
}

func reference(t testing.TB, repository, tag string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(world.registry+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// oneFile is a layer of one file.
func oneFile(name string, data []byte) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
}

// ourImages lists what the engine has of a centre's releases, as "ID REFERENCE", sorted.
func ourImages(t testing.TB, c *Centre) (list []string) {
	t.Helper()
	ours := map[string]bool{}
	for _, v := range c.versions(t) {
		for _, image := range c.document(t, v).Images {
			for _, p := range image.Platforms {
				ours[string(p.Config.Digest)] = true
			}
		}
	}
	for _, line := range lines(docker(t, "images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")) {
		if id, _, _ := strings.Cut(line, " "); ours[id] {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// dropImages removes the images of a centre's releases from the engine, as far as no container uses them: what
// "docker image prune --all" does, without touching images that are not ours.
func dropImages(t testing.TB, c *Centre) {
	t.Helper()
	for _, line := range ourImages(t, c) {
		id, ref, _ := strings.Cut(line, " ")
		if strings.Contains(ref, "<none>") {
			ref = id
		}
		// A refusal means that a container uses it.
		command(t, "", nil, "docker", "rmi", ref)
	}
}
