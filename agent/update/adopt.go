package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/manifest"
)

// adoptedRelease is the version of a stack that ran before Dhow: older than any release.
const adoptedRelease = "0.0.0-adopted"

const (
	maxComposeFile = 4 << 20   // bytes of one compose file
	maxImageFile   = 256 << 30 // bytes of one file of a saved image
)

// adoptPlan is the stack to take over.
type adoptPlan struct {
	site.Adopt
}

// adoptNote names the images that the stack runs: service to image.
type adoptNote struct {
	Images map[string]adoptedImage `json:"images"`
}

type adoptedImage struct {
	Ref    string        `json:"ref"`
	Config digest.Digest `json:"config"`
}

// adoptIfAsked begins to take over the stack that the configuration names, once, on a site that runs nothing of ours yet.
func (m *Manager) adoptIfAsked(context.Context) error {
	if m.Config.Adopt == nil {
		return nil
	}
	good, err := m.good()
	if err != nil || good != nil {
		return err
	}
	c, err := m.unfinished()
	if err != nil || c != nil {
		return err
	}
	_, err = m.runner.Start(KindAdopt, adoptPlan{*m.Config.Adopt}, nil)
	return err
}

func (m *Manager) adoptedGood(p adoptPlan) Good {
	return Good{Release: adoptedRelease, Folder: "adopted", Project: p.Project, Dir: p.Dir}
}

func adoptPlanOf(t *change.Task) (p adoptPlan, err error) {
	err = t.Change.ReadPlan(&p)
	return p, err
}

// readStack looks at what runs. Nothing is restarted or changed.
func (m *Manager) readStack(ctx context.Context, t *change.Task) error {
	p, err := adoptPlanOf(t)
	if err != nil {
		return err
	}
	settings, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return err
	}
	project, err := stack.Load(ctx, stack.Source{Dir: p.Dir, Files: p.Files, Project: p.Project, Env: settings})
	if err != nil {
		return refuse("check the compose files and the settings", "cannot read the stack in %s: %w", p.Dir, err).In("stack_unreadable", "folder", p.Dir, "cause", err.Error())
	}
	containers, err := m.Engine.Containers(ctx, p.Project)
	if err != nil {
		return engineTrouble(err)
	}
	if len(containers) == 0 {
		return refuse("start it first with: docker compose up -d", "no stack %q runs here", p.Project).In("stack_none", "project", p.Project)
	}
	if err := checkData(containers); err != nil {
		return err
	}
	note := adoptNote{Images: map[string]adoptedImage{}}
	for _, c := range containers {
		if !c.OneOff {
			note.Images[c.Service] = adoptedImage{Ref: project.Image(c.Service), Config: digest.Digest(c.Image)}
		}
	}
	for _, service := range project.Services() {
		if _, ok := note.Images[service]; !ok {
			return refuse("start all of it with: docker compose up -d; or take the service out of the compose file",
				"service %s of the stack in %s has no container here", service, p.Dir).In("stack_partial", "service", service, "folder", p.Dir)
		}
	}
	return t.Save(note)
}

func (m *Manager) forgetStack(_ context.Context, t *change.Task) error {
	p, err := adoptPlanOf(t)
	if err != nil {
		return err
	}
	return removeFolder(m.folder(m.adoptedGood(p)))
}

// keepImages copies the images of the stack into the store, and its documents into a folder, so that a rollback needs nobody else.
func (m *Manager) keepImages(ctx context.Context, t *change.Task) error {
	p, err := adoptPlanOf(t)
	if err != nil {
		return err
	}
	var note adoptNote
	if _, err := t.Change.ReadNote("read-stack", &note); err != nil {
		return err
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	r := &manifest.Release{
		Format: manifest.ReleaseFormat, Fleet: "adopted", Version: adoptedRelease, Project: p.Project, Created: m.stamp(), Compose: p.Files,
		Rollback: manifest.Rollback{Data: "restore"},
	}
	if current, err := m.Trust.Current(); err == nil {
		r.Fleet = current.Fleet.Name
	}
	byRef := map[string]int{}
	for service, image := range note.Images {
		if i, ok := byRef[image.Ref]; ok {
			r.Images[i].Services = append(r.Images[i].Services, service)
			continue
		}
		kept, err := m.keepImage(ctx, image.Config)
		if err != nil {
			return space(fmt.Errorf("cannot keep image %s: %w", image.Ref, err))
		}
		kept.Platform = platform
		byRef[image.Ref] = len(r.Images)
		r.Images = append(r.Images, manifest.Image{Ref: image.Ref, Services: []string{service}, Platforms: []manifest.PlatformImage{kept}})
	}
	if err := t.Fault("kept"); err != nil {
		return space(err)
	}
	return space(durable.Dir(m.folder(m.adoptedGood(p)), 0o700, func(dir string) error {
		return m.writeAdopted(dir, p, r)
	}))
}

// keepImage saves one image from the engine into the store. Its layers are kept as the engine gives them, unpacked.
func (m *Manager) keepImage(ctx context.Context, config digest.Digest) (kept manifest.PlatformImage, err error) {
	stream, err := m.Engine.Save(ctx, []string{config.String()})
	if err != nil {
		return kept, err
	}
	defer stream.Close()
	tmp, err := os.CreateTemp(m.Paths.State(), durable.TempPrefix)
	if err != nil {
		return kept, err
	}
	defer os.Remove(tmp.Name())
	if _, err := io.Copy(tmp, stream); err != nil {
		return kept, errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return kept, err
	}
	src, err := fetch.Open(ctx, tmp.Name())
	if err != nil {
		return kept, err
	}
	defer src.Close()
	files, ok := src.(bundle.Streamer)
	if !ok {
		return kept, fmt.Errorf("internal error: the engine saved the image as something unknown")
	}
	sizes := map[digest.Digest]int64{}
	err = files.Each(ctx, func(_ string, _ int64, r io.Reader) error {
		b, err := m.Store.Import(ctx, r, maxImageFile)
		sizes[b.Digest] = b.Size
		return err
	})
	if err != nil {
		return kept, err
	}
	if sizes[config] == 0 {
		return kept, fmt.Errorf("the engine's copy lacks its configuration")
	}
	kept.Config = manifest.Blob{Digest: config, Size: sizes[config]}
	kept.Manifest = kept.Config // a running stack has no manifest; the field names content that is there
	data, err := m.Store.Read(kept.Config, maxConfig)
	if err != nil {
		return kept, err
	}
	ids, err := bundle.DiffIDs(data)
	if err != nil {
		return kept, err
	}
	for _, id := range ids {
		n, ok := sizes[id]
		if !ok {
			return kept, fmt.Errorf("the engine's copy lacks layer %s", id)
		}
		kept.Layers = append(kept.Layers, manifest.Layer{Blob: manifest.Blob{Digest: id, Size: n}, DiffID: id, DiffSize: n})
	}
	return kept, nil
}

// writeAdopted copies the compose files, as they are now, and the settings.
func (m *Manager) writeAdopted(dir string, p adoptPlan, r *manifest.Release) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range p.Files {
		data, err := readBounded(filepath.Join(p.Dir, name), maxComposeFile)
		if err != nil {
			return err
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, data, 0o600); err != nil {
			return err
		}
		r.Files = append(r.Files, manifest.File{
			Path: filepath.ToSlash(name), Mode: 0o600, Blob: manifest.Blob{Digest: digest.FromBytes(data), Size: int64(len(data))},
		})
		if _, err := m.Store.Import(context.Background(), bytes.NewReader(data), maxComposeFile); err != nil {
			return err
		}
	}
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := root.WriteFile(releaseFile, data, 0o600); err != nil {
		return err
	}
	settings, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return err
	}
	return site.WriteSettings(filepath.Join(dir, envFile), settings)
}

// commitAdopt records the stack as known-good: what it is now is what a rollback goes back to.
func (m *Manager) commitAdopt(_ context.Context, t *change.Task) error {
	p, err := adoptPlanOf(t)
	if err != nil {
		return err
	}
	good := m.adoptedGood(p)
	good.Since = m.stamp()
	return t.Set(factGood, good)
}
