package engine

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
)

// The engine has two kinds of image store. In the classic one an image's ID is the digest of its config. In the
// containerd store (the default from Engine 29 on) the ID is the digest of its manifest, and the config digest has to
// be found out; see identify.go.

// HasImage reports whether the image with this config digest is in the engine.
func (e *Engine) HasImage(ctx context.Context, config digest.Digest) (bool, error) {
	id, err := e.find(ctx, config)
	return id != "", err
}

// find returns the engine's ID of the image with this config digest, or "".
func (e *Engine) find(ctx context.Context, config digest.Digest) (string, error) {
	if err := config.Validate(); err != nil {
		return "", fmt.Errorf("bad config digest %q: %w", config, err)
	}
	in, err := e.api().ImageInspect(ctx, config.String())
	switch {
	case err == nil && in.Descriptor == nil && in.ID == config.String():
		return in.ID, nil
	case err != nil && !errdefs.IsNotFound(err):
		return "", failure("cannot look for image "+short(config), err)
	}
	// Perhaps a containerd store. Look among the images that carry the config digest in their tag.
	list, err := e.api().ImageList(ctx, image.ListOptions{
		Filters: filters.NewArgs(filters.Arg("reference", "*/*:"+config.Encoded()[:tagDigits])),
	})
	if err != nil {
		return "", failure("cannot list the images", err)
	}
	for _, s := range list {
		if found, err := e.configOf(ctx, s.ID); err == nil && found == config {
			return s.ID, nil
		} else if err != nil && !errdefs.IsNotFound(err) {
			return "", err
		}
	}
	return "", nil
}

// tagDigits is how many hex digits of the config digest a site's tags end with.
const tagDigits = 16

// Tagged returns the config digest of the image behind ref, "" when there is no such tag.
func (e *Engine) Tagged(ctx context.Context, ref string) (digest.Digest, error) {
	d, err := e.configOf(ctx, ref)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	return d, err
}

// Tag gives the image with this config digest the name ref, taking the name from any other image.
func (e *Engine) Tag(ctx context.Context, config digest.Digest, ref string) error {
	id, err := e.find(ctx, config)
	if err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("cannot tag %s: %w: %s", ref, ErrNoImage, short(config))
	}
	if err := e.api().ImageTag(ctx, id, ref); err != nil {
		return failure("cannot tag "+ref, err)
	}
	return nil
}

// Untag takes the name ref away; an image without any other name goes with it. A name that is not there is no error.
// The last name of an image that a container uses stays: ErrInUse.
func (e *Engine) Untag(ctx context.Context, ref string) error {
	_, err := e.api().ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if errdefs.IsConflict(err) {
		return fmt.Errorf("cannot take the tag %s away: %w: %w", ref, ErrInUse, err)
	}
	return failure("cannot take the tag "+ref+" away", err)
}

// Drop removes the image with this config digest when nothing names it: what an engine that was stopped in the middle of a load has left.
func (e *Engine) Drop(ctx context.Context, config digest.Digest) error {
	id, err := e.find(ctx, config)
	if err != nil || id == "" {
		return err
	}
	in, err := e.api().ImageInspect(ctx, id)
	if err != nil && !errdefs.IsNotFound(err) {
		return failure("cannot look for image "+short(config), err)
	}
	if err != nil || len(in.RepoTags)+len(in.RepoDigests) > 0 {
		return nil
	}
	return e.Untag(ctx, id)
}

// Unused returns how many bytes at least are freed by removing the images that no container uses. Layers that they share with each other or
// with images in use are not counted.
func (e *Engine) Unused(ctx context.Context) (bytes int64, err error) {
	containers, err := e.api().ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return 0, failure("cannot list the containers", err)
	}
	running := map[string]bool{}
	for _, c := range containers {
		running[c.ImageID] = true
	}
	images, err := e.api().ImageList(ctx, image.ListOptions{})
	if err != nil {
		return 0, failure("cannot list the images", err)
	}
	kept, largest := map[string]bool{}, map[string]int64{} // by the lowest layer
	for _, s := range images {
		in, err := e.api().ImageInspect(ctx, s.ID)
		if err != nil || len(in.RootFS.Layers) == 0 {
			continue
		}
		lowest := in.RootFS.Layers[0]
		if running[s.ID] {
			kept[lowest] = true
		}
		largest[lowest] = max(largest[lowest], in.Size)
	}
	for lowest, n := range largest {
		if !kept[lowest] {
			bytes += n
		}
	}
	return bytes, nil
}

// Save streams the named images as docker save does. The caller closes the reader.
func (e *Engine) Save(ctx context.Context, images []string) (io.ReadCloser, error) {
	r, err := e.api().ImageSave(ctx, images)
	if err != nil {
		return nil, failure("cannot save "+strings.Join(images, ", "), err)
	}
	return r, nil
}

// Export streams the image with this config digest as docker save does. The caller closes the reader.
func (e *Engine) Export(ctx context.Context, config digest.Digest) (io.ReadCloser, error) {
	id, err := e.find(ctx, config)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, fmt.Errorf("%w: %s", ErrNoImage, short(config))
	}
	return e.Save(ctx, []string{id})
}

// stacks returns the diff IDs of every image in the engine, lowest layer first.
func (e *Engine) stacks(ctx context.Context) ([][]string, error) {
	list, err := e.api().ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, failure("cannot list the images", err)
	}
	var stacks [][]string
	for _, s := range list {
		in, err := e.api().ImageInspect(ctx, s.ID)
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, failure("cannot inspect image "+s.ID, err)
		}
		stacks = append(stacks, in.RootFS.Layers)
	}
	return stacks, nil
}

// short is a digest as people can compare it.
func short(d digest.Digest) string {
	s := d.String()
	return s[:min(len(s), len("sha256:")+12)]
}
