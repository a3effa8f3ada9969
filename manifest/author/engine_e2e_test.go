//go:build e2e

package author

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	engineimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
)

// The images of the local engine, for real: load two that share a layer, make a release of them, compare digests.
func TestEngine(t *testing.T) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	check(t, err)
	defer docker.Close()
	if _, err := docker.Ping(t.Context()); err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	images := map[string]ggcr.Image{
		"dhow-author-app:1": twoLayers(t, "app"),
		"dhow-author-db:1":  twoLayers(t, "db"),
	}
	file := filepath.Join(t.TempDir(), "images.tar")
	saveFile(t, file, images)
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	loaded, err := docker.ImageLoad(t.Context(), f)
	check(t, err)
	_, err = io.Copy(io.Discard, loaded.Body)
	check(t, err)
	check(t, loaded.Body.Close())
	for ref := range images {
		defer func() { _, _ = docker.ImageRemove(t.Context(), ref, engineimage.RemoveOptions{Force: true}) }()
	}

	o := options(t, map[string]string{"compose.yaml": "services:\n  app: {image: \"dhow-author-app:1\"}\n  db: {image: \"dhow-author-db:1\"}\n"})
	o.Images = Engine{}
	r, _, err := Create(t.Context(), o)
	check(t, err)
	for _, i := range r.Images {
		want, err := images[i.Ref].ConfigName()
		check(t, err)
		equal(t, i.Ref, i.Platforms[0].Config.Digest, digest.Digest(want.String()))
		check(t, o.Store.VerifyImage(t.Context(), i.Platforms[0]))
	}

	o = options(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: dhow-author-none:1\n"})
	o.Images = Engine{}
	_, _, err = Create(t.Context(), o)
	fails(t, err, "compose.yaml:3: service app: image dhow-author-none:1: no such image in the local engine",
		"check the name and the tag, or say where images come from: --images")

	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	_, _, err = Create(t.Context(), o)
	if err == nil {
		t.Fatal("an engine that is not there has images")
	}
	var e *Error
	if !errors.As(err, &e) || e.Hint != "start it, or take images from a registry or a file of docker save" {
		t.Errorf("error %v, hint missing", err)
	}
}

func twoLayers(t *testing.T, name string) ggcr.Image {
	return image(t, imageSpec{content: []string{"dhow-author-base", "dhow-author-" + name}})
}
