package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/bundle"
	"dhow/manifest"
)

// imagesNote says which tags and images were not there before; undo takes these away again.
type imagesNote struct {
	Tags   []string        `json:"tags"`
	Images []digest.Digest `json:"images,omitempty"`
}

// maxConfig bounds an image's configuration, in bytes.
const maxConfig = 8 << 20

// LocalTag is the name under which compose runs an image here. It comes from the configuration's digest: names that others move do not matter.
func LocalTag(ref string, config digest.Digest) string {
	name := path.Base(ref)
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return "dhow.local/" + strings.ToLower(name) + ":" + config.Encoded()[:16]
}

// pinned is an image of a release for this computer, with its local tag.
type pinned struct {
	manifest.PlatformImage
	Ref      string
	Tag      string
	Services []string
}

// pin lists the images of a release for this computer. The images of an adopted stack keep their own names.
func (m *Manager) pin(ctx context.Context, g Good, r *manifest.Release) ([]pinned, error) {
	platform, err := m.platform(ctx)
	if err != nil {
		return nil, err
	}
	images, err := r.PlatformImages(platform)
	if err != nil {
		return nil, refuse("ask the central team for a release with images for "+platform, "%w", err).In("no_platform", "platform", platform, "cause", err.Error())
	}
	list := make([]pinned, len(images))
	for i, image := range images {
		ref := r.Images[i].Ref
		tag := LocalTag(ref, image.Config.Digest)
		if g.Dir != "" {
			tag = ref
		}
		list[i] = pinned{PlatformImage: image, Ref: ref, Tag: tag, Services: r.Images[i].Services}
	}
	return list, nil
}

// platform is what this computer's engine runs, such as linux/amd64.
func (m *Manager) platform(ctx context.Context) (string, error) {
	info, err := m.Engine.Info(ctx)
	if err != nil {
		return "", engineTrouble(err)
	}
	return info.Platform, nil
}

func engineTrouble(err error) error {
	f := &change.Failure{Class: change.ClassEngine, Code: api.CodeRefused, Err: err, Hint: "start the engine, for instance: systemctl start docker"}
	return f.In("engine_trouble", "cause", err.Error())
}

// loadImages brings the images of the new release into the engine.
func (m *Manager) loadImages(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	r, err := m.releaseOf(p.To)
	if err != nil {
		return err
	}
	images, err := m.pin(ctx, p.To, r)
	if err != nil {
		return err
	}
	var note imagesNote
	if found, err := t.Note(&note); err != nil {
		return err
	} else if !found {
		for _, image := range images {
			config, err := m.Engine.Tagged(ctx, image.Tag)
			if err != nil {
				return engineTrouble(err)
			}
			if config == "" {
				note.Tags = append(note.Tags, image.Tag)
			}
			there, err := m.Engine.HasImage(ctx, image.Config.Digest)
			if err != nil {
				return engineTrouble(err)
			}
			if !there {
				note.Images = append(note.Images, image.Config.Digest)
			}
		}
		if err := t.Save(note); err != nil {
			return err
		}
	}
	err = m.ensureImages(ctx, t, images)
	if errors.Is(err, bundle.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		return &change.Failure{
			Class: change.ClassTrust, Code: api.CodeNotTrusted, Err: errors.Join(err, m.dropRotten(images)),
			Hint: "the disk may be failing; dhow fetches the damaged part again at the next check",
		}
	}
	return space(err)
}

// ensureImages makes the engine hold every image under its tag, from the store, whatever happened to the engine's own copies.
func (m *Manager) ensureImages(ctx context.Context, t *change.Task, images []pinned) error {
	for _, image := range images {
		config, err := m.Engine.Tagged(ctx, image.Tag)
		if err != nil {
			return engineTrouble(err)
		}
		if config == image.Config.Digest {
			continue
		}
		there, err := m.Engine.HasImage(ctx, image.Config.Digest)
		if err != nil {
			return engineTrouble(err)
		}
		if there {
			err = m.Engine.Tag(ctx, image.Config.Digest, image.Tag)
		} else {
			err = m.loadImage(ctx, t, image)
		}
		if err != nil {
			return err
		}
		if err := t.Fault("image"); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) loadImage(ctx context.Context, t *change.Task, image pinned) error {
	config, err := m.Store.Read(image.Config, maxConfig)
	if err != nil {
		return fmt.Errorf("image %s is not in the store: %w", image.Ref, err)
	}
	load := engine.Image{Config: config, ConfigDigest: image.Config.Digest, Tag: image.Tag}
	for _, l := range image.Layers {
		load.Layers = append(load.Layers, engine.Layer{
			DiffID: l.DiffID, DiffSize: l.DiffSize,
			Open: func() (io.ReadCloser, error) { return m.Store.OpenLayer(l) },
		})
	}
	if err := m.Engine.Load(ctx, load, func(done, total int64) {
		t.Progress(change.Progress{Done: done, Total: total})
	}); err != nil {
		return fmt.Errorf("cannot load image %s: %w", image.Ref, err)
	}
	return nil
}

// dropRotten removes the blobs of an image that are not what they were when they were verified, so that they are fetched again.
func (m *Manager) dropRotten(images []pinned) error {
	var errs []error
	for _, image := range images {
		for _, l := range image.Layers {
			r, err := m.Store.OpenLayer(l)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				err = errors.Join(err, r.Close())
			}
			if errors.Is(err, bundle.ErrDamaged) || errors.Is(err, bundle.ErrTooLarge) {
				errs = append(errs, m.Store.Remove(l.Digest), m.Store.Remove(l.DiffID))
			}
		}
		if _, err := m.Store.Read(image.Config, maxConfig); errors.Is(err, bundle.ErrDamaged) {
			errs = append(errs, m.Store.Remove(image.Config.Digest))
		}
	}
	return errors.Join(errs...)
}

// unloadImages takes away the tags that loadImages added, and with them the images that nothing else uses.
func (m *Manager) unloadImages(ctx context.Context, t *change.Task) error {
	var note imagesNote
	if found, err := t.Note(&note); err != nil || !found {
		return err
	}
	for _, tag := range note.Tags {
		if err := m.remains(tag, m.Engine.Untag(ctx, tag)); err != nil {
			return err
		}
	}
	for _, config := range note.Images {
		if err := m.remains(config.String(), m.Engine.Drop(ctx, config)); err != nil {
			return err
		}
	}
	return nil
}

// remains lets an image stay that somebody else uses. With any other error the removal is tried again: the engine may be stopping.
func (m *Manager) remains(image string, err error) error {
	if !errors.Is(err, engine.ErrInUse) {
		return err
	}
	m.Log.Warn("an image stays", "image", image, "error", err)
	return nil
}
