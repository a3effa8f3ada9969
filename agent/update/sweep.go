package update

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"dhow/agent/change"
	"dhow/agent/fault"
	"dhow/bundle/durable"
	"dhow/bundle/ladder"
	"dhow/manifest"
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
	if trimmed := trim(past, keep); len(trimmed) < len(past) {
		past = trimmed
		if err := m.Journal.SetFact(factPast, past); err != nil {
			return err
		}
	}
	kept, err := m.keptReleases()
	if err != nil {
		return err
	}
	// One thing that can't be removed keeps nothing else.
	return errors.Join(m.sweepStacks(ctx, kept), m.sweepBackups(past), m.pruneStore(ctx))
}

// trim keeps the newest entries of each sort.
func trim(past []Past, keep int) (kept []Past) {
	taken := 0
	for _, p := range past {
		switch {
		case p.TakenBack && taken < keepTaken:
			taken++
		case !p.TakenBack && keep > 0:
			keep--
		default:
			continue
		}
		kept = append(kept, p)
	}
	return kept
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
	current, err := m.Trust.Current()
	if err != nil {
		return kept, nil // a stack that was adopted, and no manifest yet
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil || as.Pin == "" {
		return kept, nil
	}
	// What the manifest asks for is on its way, or here and waiting.
	if release, d, err := m.Trust.CachedRelease(as.Pin); err == nil {
		kept = append(kept, m.goodFor(release, d, current.Number))
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
	var errs []error
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
					errs = append(errs, m.Engine.Untag(ctx, image.Tag))
				}
			}
		}
		errs = append(errs, removeFolder(filepath.Join(m.Paths.Stacks(), e.Name())))
	}
	return errors.Join(errs...)
}

// sweepBackups removes the backups that no release to go back to needs.
func (m *Manager) sweepBackups(past []Past) error {
	entries, err := os.ReadDir(m.Paths.Backups())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.ContainsFunc(past, func(p Past) bool { return p.Backup == e.Name() }) {
			if err := removeFolder(filepath.Join(m.Paths.Backups(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeFolder removes a folder of ours, whatever is left of it.
func removeFolder(path string) error {
	if err := fault.Point("update/remove-folder"); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// pruneStore removes the blobs that no kept release has.
func (m *Manager) pruneStore(ctx context.Context) error {
	keep, err := m.keptBlobs(ctx, "")
	if err != nil {
		return err
	}
	if err := m.keepRungs(ctx, keep); err != nil {
		return err
	}
	m.keepAgent(keep)
	if err := ladder.Clean(m.Store); err != nil {
		return err
	}
	_, err = m.Store.Prune(keep)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// keepRungs adds what a fetch that is not at its end needs beside layers: deltas, and what they lead over.
func (m *Manager) keepRungs(ctx context.Context, keep map[digest.Digest]bool) error {
	current, err := m.Trust.Current()
	if err != nil {
		return nil // nothing is being fetched
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil || as.Pin == "" {
		return nil
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	list, err := m.rungs(ctx, as.Pin, platform)
	for _, d := range list {
		keep[d] = true
	}
	if errors.Is(err, manifest.ErrPlatform) {
		return nil // asked for, and refused
	}
	return err
}

// keptBlobs names everything in the store that a kept release needs, in whichever form it came, without the release except.
func (m *Manager) keptBlobs(ctx context.Context, except string) (map[digest.Digest]bool, error) {
	kept, err := m.keptReleases()
	if err != nil {
		return nil, err
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return nil, err
	}
	keep := map[digest.Digest]bool{}
	for _, g := range kept {
		if g.Release == except {
			continue
		}
		r, err := m.releaseOf(g)
		if err != nil {
			return nil, err
		}
		images, err := r.PlatformImages(platform)
		if errors.Is(err, manifest.ErrPlatform) {
			continue // asked for, and refused: nothing of it is here
		}
		if err != nil {
			return nil, err
		}
		blobs, err := r.Blobs(platform)
		if err != nil {
			return nil, err
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
	return keep, nil
}

// forget removes the records of looks that found nothing, of refusals that came again and again, and old ones.
func (m *Manager) forget() error {
	fetches, err := m.Journal.Changes(func(c *change.Change) bool { return c.Kind == KindFetch && !c.Finished.IsZero() })
	if err != nil {
		return err
	}
	var drop []uint64
	for i, c := range fetches {
		var target targetNote
		if _, err := c.ReadNote(stepPlan, &target); err != nil {
			return err
		}
		if i >= keepRecords || (i > 0 && target.Nothing != "") {
			drop = append(drop, c.ID)
		}
	}
	refused, err := m.Journal.Changes(func(c *change.Change) bool {
		return c.Kind != KindFetch && !c.Finished.IsZero() && c.Cleaned && !downtime(c) && c.Cause != nil
	})
	if err != nil {
		return err
	}
	errands, err := m.Journal.Changes(func(c *change.Change) bool {
		return isErrand(c.Kind) && !c.Finished.IsZero() && c.Cleaned && c.Cause == nil
	})
	if err != nil {
		return err
	}
	for _, list := range [][]*change.Change{refused, errands} {
		for _, c := range list[min(len(list), keepRecords):] {
			drop = append(drop, c.ID)
		}
	}
	return m.Journal.Delete(drop...)
}

// downtime reports whether a change closed the doors.
func downtime(c *change.Change) bool {
	s := c.Step(stepCloseDoors)
	return s != nil && s.Status != change.StepPending
}

// keepRecords is how many fetches and refusals are remembered.
const keepRecords = 20
