package update

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"dhow/agent/change"
	"dhow/manifest"
)

// verify makes sure that every new image was unpacked once, as the engine will, and declares the release ready. Layers that were unpacked
// while they came are not read again, and neither are those that an image of the running release begins with: the engine is not sent them.
func (m *Manager) verify(ctx context.Context, t *change.Task) error {
	var p fetchPlan
	var target targetNote
	var blobs blobsNote
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	if _, err := t.Change.ReadNote(stepPlan, &target); err != nil || target.Nothing != "" {
		return err
	}
	if _, err := t.Change.ReadNote(stepFetch, &blobs); err != nil {
		return err
	}
	release, _, err := m.Trust.Release(ctx, nil, target.Release)
	if err != nil {
		return untrusted(err)
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	images, err := release.PlatformImages(platform)
	if err != nil {
		return err
	}
	running, err := m.runningImages(ctx, platform)
	if err != nil {
		return err
	}
	for i, image := range images {
		if target.Verified {
			break
		}
		known := 0
		for _, other := range running {
			known = max(known, image.Shared(other))
		}
		if err := m.Store.VerifyAbove(ctx, image, known); err != nil {
			if ctx.Err() == nil {
				err = errors.Join(err, m.dropImage(ctx, release.Version, image))
			}
			return untrusted(fmt.Errorf("image %s: %w", release.Images[i].Ref, err))
		}
	}
	if err := t.Fault("ready"); err != nil {
		return err
	}
	ready := Ready{
		Release: target.Release, Digest: target.Digest, Manifest: target.Manifest,
		Fetch: t.Change.ID, Bytes: blobs.Moved, Now: p.Now || target.Archive != "", Archive: target.Archive, Setbacks: blobs.Setbacks,
	}
	before, err := m.ready()
	if err != nil {
		return err
	}
	if before != nil && before.Digest == ready.Digest {
		ready.Bytes += before.Bytes // fetched last night, say
		ready.NotBefore = before.NotBefore
		ready.Now = ready.Now || before.Now // what a person has ordered stays ordered
		ready.Setbacks = slices.Compact(append(before.Setbacks, ready.Setbacks...))
	}
	return t.Set(factReady, ready)
}

// runningImages are the images of the release that works here, as far as the engine certainly has them still. All of each was verified when
// it came. What is not known is not in the list, and then its layers are read.
func (m *Manager) runningImages(ctx context.Context, platform string) (list []manifest.PlatformImage, err error) {
	good, err := m.good()
	if err != nil || good == nil || good.Digest == "" {
		return nil, err
	}
	r, err := m.releaseOf(*good)
	if err != nil {
		return nil, nil
	}
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, nil
	}
	for _, image := range images {
		if there, err := m.Engine.HasImage(ctx, image.Config.Digest); err == nil && there {
			list = append(list, image)
		}
	}
	return list, nil
}

// dropImage removes from the store what a refused image brought, unless a kept release has it too.
func (m *Manager) dropImage(ctx context.Context, refused string, image manifest.PlatformImage) error {
	keep, err := m.keptBlobs(ctx, refused)
	if err != nil {
		return err
	}
	for _, l := range image.Layers {
		for _, d := range []digest.Digest{l.Digest, l.DiffID} {
			if !keep[d] {
				if err := m.Store.Remove(d); err != nil {
					return err
				}
			}
		}
	}
	if keep[image.Config.Digest] {
		return nil
	}
	return m.Store.Remove(image.Config.Digest)
}
