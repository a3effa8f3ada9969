package update

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"dhow/agent/change"
	"dhow/bundle/durable"
)

// sweep removes what nothing can need any more: older releases beyond the number to keep, with their folders, images, backups and blobs.
func (m *Manager) sweep(ctx context.Context, _ *change.Task) error {
	past, err := m.past()
	if err != nil {
		return err
	}
	keep := keepPast
	if current, err := m.Trust.Current(); err == nil && current.Fleet.Policy.Keep > keep {
		keep = current.Fleet.Policy.Keep
	}
	if len(past) > keep {
		past = past[:keep]
		if err := m.Journal.SetFact(factPast, past); err != nil {
			return err
		}
	}
	kept, err := m.keptReleases()
	if err != nil {
		return err
	}
	if err := m.sweepStacks(ctx, kept); err != nil {
		return err
	}
	if err := m.sweepBackups(past); err != nil {
		return err
	}
	return m.pruneStore(ctx)
}

// keptReleases lists everything that runs, ran and may be gone back to, or is ready.
func (m *Manager) keptReleases() ([]Good, error) {
	var kept []Good
	good, err := m.good()
	if err != nil {
		return nil, err
	}
	if good != nil {
		kept = append(kept, *good)
	}
	past, err := m.past()
	if err != nil {
		return nil, err
	}
	for _, p := range past {
		kept = append(kept, p.Good)
	}
	r, err := m.ready()
	if err != nil {
		return nil, err
	}
	if r != nil {
		release, d, err := m.Trust.CachedRelease(r.Release)
		if err != nil {
			return nil, err
		}
		kept = append(kept, m.goodFor(release, d, r.Manifest))
	}
	return kept, nil
}

// sweepStacks removes the folders of releases that are not kept, and their images from the engine.
func (m *Manager) sweepStacks(ctx context.Context, kept []Good) error {
	folders, tags := map[string]bool{}, map[string]bool{}
	for _, g := range kept {
		folders[g.Folder] = true
		r, err := m.releaseOf(g)
		if err != nil {
			return err
		}
		images, err := m.pin(ctx, g, r)
		if err != nil {
			return err
		}
		for _, image := range images {
			tags[image.Tag] = true
		}
	}
	if err := durable.Clean(m.Paths.Stacks()); err != nil {
		return err
	}
	entries, err := os.ReadDir(m.Paths.Stacks())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if folders[e.Name()] {
			continue
		}
		g := Good{Folder: e.Name()}
		if r, err := m.releaseOf(g); err == nil {
			images, err := m.pin(ctx, g, r)
			if err != nil {
				return err
			}
			for _, image := range images {
				if !tags[image.Tag] {
					if err := m.Engine.Untag(ctx, image.Tag); err != nil {
						return err
					}
				}
			}
		}
		if err := os.RemoveAll(filepath.Join(m.Paths.Stacks(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// sweepBackups removes the backups that no release to go back to needs.
func (m *Manager) sweepBackups(past []Past) error {
	entries, err := os.ReadDir(m.Paths.Backups())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.ContainsFunc(past, func(p Past) bool { return p.Backup == e.Name() }) {
			if err := os.RemoveAll(filepath.Join(m.Paths.Backups(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneStore removes the blobs that no kept release has.
func (m *Manager) pruneStore(ctx context.Context) error {
	kept, err := m.keptReleases()
	if err != nil {
		return err
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	keep := map[digest.Digest]bool{}
	for _, g := range kept {
		r, err := m.releaseOf(g)
		if err != nil {
			return err
		}
		blobs, err := r.Blobs(platform)
		if err != nil {
			return err
		}
		images, err := r.PlatformImages(platform)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			keep[b.Digest] = true
		}
		for _, image := range images {
			for _, l := range image.Layers {
				keep[l.DiffID] = true
			}
		}
	}
	_, err = m.Store.Prune(keep)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
