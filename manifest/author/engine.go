package author

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
)

// Engine takes images from a Docker Engine, the one that the docker command would talk to. It has one platform for each image.
type Engine struct{}

// Name says where images come from.
func (Engine) Name() string { return "the local engine" }

// Fetch lets the engine save the images and reads the stream.
func (Engine) Fetch(
	ctx context.Context, store *bundle.Store, refs, platforms []string,
) (map[string][]manifest.PlatformImage, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, problem("", "", "cannot talk to the engine: %w", err)
	}
	defer docker.Close()
	ids := map[string]digest.Digest{}
	for _, ref := range refs {
		found, err := docker.ImageInspect(ctx, ref)
		switch {
		case errdefs.IsNotFound(err):
			return nil, &ImageError{Ref: ref, Err: fmt.Errorf("%w in the local engine", ErrNoImage)}
		case client.IsErrConnectionFailed(err):
			return nil, problem("", "start it, or take images from a registry or a file of docker save",
				"the local engine: %w: %v", bundle.ErrUnreachable, err)
		case err != nil:
			return nil, &ImageError{Ref: ref, Err: fmt.Errorf("the local engine says: %w", err)}
		}
		ids[ref] = digest.Digest(found.ID)
	}
	stream, err := docker.ImageSave(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("cannot read images from the local engine: %w", err)
	}
	defer stream.Close()
	a, err := readArchive(ctx, store, stream)
	if err != nil {
		return nil, fmt.Errorf("cannot read images from the local engine: %w", err)
	}
	images := map[string][]manifest.PlatformImage{}
	for _, ref := range refs {
		entry, ok := a.byConfig(ids[ref])
		if !ok { // an engine whose image IDs are not config digests
			entry, err = a.find(ref)
		}
		if err == nil {
			images[ref], err = a.image(ctx, store, entry, platforms)
		}
		if err != nil {
			return nil, &ImageError{Ref: ref, Err: fmt.Errorf("the local engine: %w", err)}
		}
	}
	return images, nil
}
