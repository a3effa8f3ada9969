package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// Names in the folder of a release, beside the files that the release brings.
const (
	releaseFile  = "release.json" // the release document
	overrideFile = "dhow.yaml"    // pins the images by their local tags
	envFile      = ".env"         // variables of the release and settings of the site, readable by root only
)

// stageNote says whether the folder was there before.
type stageNote struct {
	Existed bool `json:"existed"`
}

// releaseOf returns the document of a release that is or was installed here, or that was fetched.
func (m *Manager) releaseOf(g Good) (*manifest.Release, error) {
	data, err := os.ReadFile(filepath.Join(m.folder(g), releaseFile))
	if err == nil {
		return manifest.ParseRelease(data)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	r, _, err := m.Trust.CachedRelease(g.Release)
	return r, err
}

// environment is what the compose files of a release see: its variables, then the settings of this site (those of the fleet, with site.env
// laid over them), then what Dhow sets. Missing required settings are an error.
func (m *Manager) environment(g Good, r *manifest.Release) (map[string]string, error) {
	settings, err := m.settings()
	if err != nil {
		return nil, err
	}
	env := maps.Clone(r.Variables)
	if env == nil {
		env = map[string]string{}
	}
	if g.Dir != "" {
		// An adopted stack has no list of settings: its .env is here, and the fleet says nothing of it.
		if settings, err = site.ReadSettings(m.Paths.Settings()); err != nil {
			return nil, err
		}
		maps.Copy(env, settings)
	}
	var missing []string
	for _, s := range r.Settings {
		v, ok := settings[s.Name]
		if ok {
			env[s.Name] = v
		}
		if s.Required && v == "" {
			missing = append(missing, s.Name)
		}
	}
	if len(missing) > 0 {
		return nil, refuse("add it to "+m.Paths.Settings()+" as NAME=value, then: dhow update --now",
			"release %s needs a value for %s", r.Version, strings.Join(missing, ", ")).In("settings_missing", "release", r.Version, "settings", strings.Join(missing, ", "), "file", m.Paths.Settings())
	}
	return env, nil
}

// stageRelease writes the folder of the new release: its files, its document, the pins and the settings.
func (m *Manager) stageRelease(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note stageNote
	if found, err := t.Note(&note); err != nil {
		return err
	} else if !found {
		_, err := os.Stat(m.folder(p.To))
		note.Existed = err == nil
		if err := t.Save(note); err != nil {
			return err
		}
	}
	r, err := m.releaseOf(p.To)
	if err != nil {
		return err
	}
	if p.To.Dir != "" {
		return nil // the folder of an adopted stack was written when it was adopted
	}
	if err := t.Fault("write"); err != nil {
		return space(err)
	}
	if note.Existed {
		return space(m.writeEnv(m.folder(p.To), p.To, r))
	}
	return space(durable.Dir(m.folder(p.To), 0o700, func(dir string) error {
		return m.writeRelease(ctx, dir, p.To, r)
	}))
}

func (m *Manager) unstageRelease(_ context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note stageNote
	if found, err := t.Note(&note); err != nil || !found || note.Existed {
		return err
	}
	if err := removeFolder(m.folder(p.To)); err != nil {
		return err
	}
	return durable.Clean(m.Paths.Stacks())
}

// writeRelease fills dir with everything that compose needs for a release. The files were verified when they were fetched, and are again
// while they are copied.
func (m *Manager) writeRelease(ctx context.Context, dir string, g Good, r *manifest.Release) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range r.Files {
		if f.Path == releaseFile || f.Path == overrideFile || f.Path == envFile {
			return broken("release %s brings a file %s, a name that dhow writes itself", r.Version, f.Path)
		}
		if err := m.writeFile(root, f); err != nil {
			return fmt.Errorf("file %s of release %s: %w", f.Path, r.Version, err)
		}
	}
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := root.WriteFile(releaseFile, data, 0o600); err != nil {
		return err
	}
	images, err := m.pin(ctx, g, r)
	if err != nil {
		return err
	}
	pins, err := overrideOf(images)
	if err != nil {
		return err
	}
	if err := root.WriteFile(overrideFile, pins, 0o600); err != nil {
		return err
	}
	return m.writeEnv(dir, g, r)
}

func (m *Manager) writeFile(root *os.Root, f manifest.File) error {
	path := filepath.FromSlash(f.Path)
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	from, err := m.Store.Open(f.Blob)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := root.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return errors.Join(err, to.Close())
	}
	return errors.Join(to.Chmod(os.FileMode(f.Mode).Perm()), to.Close())
}

// overrideOf is a compose file that gives every service its pinned image.
func overrideOf(images []pinned) ([]byte, error) {
	services := map[string]map[string]string{}
	for _, image := range images {
		for _, s := range image.Services {
			services[s] = map[string]string{"image": image.Tag}
		}
	}
	data, err := yaml.Marshal(map[string]any{"services": services})
	return append([]byte("# Written by dhow: the images that the signed release pins.\n"), data...), err
}

// writeEnv writes .env so that plain compose, run by hand in this folder, sees the same project.
func (m *Manager) writeEnv(dir string, g Good, r *manifest.Release) error {
	env, err := m.environment(g, r)
	if err != nil {
		return err
	}
	env["COMPOSE_PROJECT_NAME"] = g.Project
	env["COMPOSE_FILE"] = strings.Join(composeFiles(r), ":")
	if len(r.Profiles) > 0 {
		env["COMPOSE_PROFILES"] = strings.Join(r.Profiles, ",")
	}
	return site.WriteSettings(filepath.Join(dir, envFile), env)
}

func composeFiles(r *manifest.Release) []string { return append(slices.Clone(r.Compose), overrideFile) }

// project loads the compose project of a release from its folder, as it was staged.
func (m *Manager) project(ctx context.Context, g Good, r *manifest.Release) (*stack.Project, error) {
	return m.loadProject(ctx, m.folder(g), g, r)
}

func (m *Manager) loadProject(ctx context.Context, dir string, g Good, r *manifest.Release) (*stack.Project, error) {
	env, err := site.ReadSettings(filepath.Join(dir, envFile))
	if err != nil {
		return nil, err
	}
	src := stack.Source{Dir: dir, Files: composeFiles(r), Project: g.Project, Profiles: r.Profiles, Env: env}
	if g.Dir != "" {
		src.Files, src.WorkingDir = r.Compose, g.Dir
	}
	p, err := stack.Load(ctx, src)
	if err != nil {
		return nil, broken("cannot read the compose files of release %s: %w", r.Version, err)
	}
	return p, nil
}
