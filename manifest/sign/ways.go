package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// KeepBefore is how many releases before each pinned one are published as well: sites that lag behind still fetch them.
const KeepBefore = 2

// Near returns the releases that sites of a fleet may fetch: those that a ring or a site is pinned to, and KeepBefore before each, from old
// to new. What is signed lists the ways to these, and to no others: every site reads that list.
func (r *Repository) Near(fleet *manifest.Fleet) ([]string, error) {
	all, err := r.Releases()
	if err != nil {
		return nil, err
	}
	pinned, near := map[string]bool{}, map[string]bool{}
	for _, pins := range []map[string]string{ringPins(fleet), sitePins(fleet)} {
		for _, v := range pins {
			pinned[v] = true
		}
	}
	for i, v := range all {
		if pinned[v] {
			for _, before := range all[max(0, i-KeepBefore) : i+1] {
				near[before] = true
			}
		}
	}
	list := names(near)
	manifest.SortVersions(list)
	return list, nil
}

// Ways returns the ways to a release, nil when there are none.
func (r *Repository) Ways(version string) (*manifest.Ways, error) {
	_, w, err := r.ways(version)
	return w, err
}

func (r *Repository) ways(version string) ([]byte, *manifest.Ways, error) {
	v, err := manifest.ParseVersion(version)
	if err != nil {
		return nil, nil, err
	}
	path := r.path(manifest.WaysPath(v))
	data, err := readDocument(path, "ways", manifest.MaxWays)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	w, err := manifest.ParseWays(data)
	if err == nil && w.Version != v {
		err = fmt.Errorf("%w: they lead to release %s", manifest.ErrInvalid, w.Version)
	}
	if err == nil {
		err = r.checkWays(w)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, w, nil
}

// SaveWays makes w the ways to a release that is here. When it has none nothing is kept.
func (r *Repository) SaveWays(w *manifest.Ways) error {
	if len(w.Layers) == 0 {
		return r.dropWays(w.Version)
	}
	data, err := w.Encode()
	if err == nil {
		err = r.checkWays(w)
	}
	if err != nil {
		return fmt.Errorf("cannot save ways: %w", err)
	}
	path := r.path(manifest.WaysPath(w.Version))
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot save ways: %w", err)
	}
	if err := durable.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("cannot save ways: %w", err)
	}
	return nil
}

// Ways returns the ways to a release that were signed, nil when there are none.
func (d *Documents) Ways(version string) (*manifest.Ways, error) {
	for path, data := range d.Files {
		dir, name, ok := strings.Cut(path, "ways/")
		if !ok || dir != "targets/" {
			continue
		}
		if _, name, _ = strings.Cut(name, "."); name == version+".json" {
			return manifest.ParseWays(data)
		}
	}
	return nil, nil
}

// checkWays refuses ways that no site could go: to a layer that the release hasn't, or from an image that no release has.
func (r *Repository) checkWays(w *manifest.Ways) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: ways to release %s: %s", manifest.ErrInvalid, w.Version, fmt.Sprintf(format, args...))
	}
	if name := r.fleet.fleet.Name; w.Fleet != name {
		return bad("they are for fleet %s, this is %s", w.Fleet, name)
	}
	release, err := r.Release(w.Version)
	if err != nil {
		return err
	}
	layers := map[digest.Digest]bool{}
	for _, i := range release.Images {
		for _, p := range i.Platforms {
			for _, l := range p.Layers {
				layers[l.DiffID] = true
			}
		}
	}
	configs := map[string]map[digest.Digest]bool{}
	for _, l := range w.Layers {
		if !layers[l.DiffID] {
			return bad("it has no layer %s", l.DiffID)
		}
		for _, d := range l.Deltas {
			if configs[d.From] == nil {
				from, err := r.Release(d.From)
				if err != nil {
					return err
				}
				configs[d.From] = configsOf(from)
			}
			if d.From == w.Version || !configs[d.From][d.Base] {
				return bad("release %s has no other image %s to begin with", d.From, d.Base)
			}
		}
	}
	return nil
}

func configsOf(r *manifest.Release) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	for _, i := range r.Images {
		for _, p := range i.Platforms {
			all[p.Config.Digest] = true
		}
	}
	return all
}

// listWays adds the documents of ways that the next list names to content.
func (r *Repository) listWays(fleet *manifest.Fleet, content map[string][]byte) error {
	near, err := r.Near(fleet)
	if err != nil {
		return err
	}
	for _, v := range near {
		data, w, err := r.ways(v)
		if err != nil {
			return err
		}
		if w != nil {
			content[manifest.WaysPath(v)] = data
		}
	}
	return nil
}

// ChangedWays compares the ways that the next signing of a fleet lists with those that were signed last: what is new or another, by release
// from old to new, and the releases whose ways would be listed no more.
func (r *Repository) ChangedWays(fleet *manifest.Fleet) (now []*manifest.Ways, gone []string, err error) {
	last, err := r.signed()
	if err != nil {
		return nil, nil, err
	}
	content := map[string][]byte{}
	if err := r.listWays(fleet, content); err != nil {
		return nil, nil, err
	}
	old := map[string]*metadata.TargetFiles{}
	if last.targets != nil {
		old = last.targets.Signed.Targets
	}
	for name, data := range content {
		if old[name] != nil && old[name].VerifyLengthHashes(data) == nil {
			continue
		}
		w, err := manifest.ParseWays(data)
		if err != nil {
			return nil, nil, err
		}
		now = append(now, w)
	}
	slices.SortFunc(now, func(a, b *manifest.Ways) int { return manifest.CompareVersions(a.Version, b.Version) })
	for name := range old {
		if version, ok := manifest.WaysOfPath(name); ok && content[name] == nil {
			gone = append(gone, version)
		}
	}
	manifest.SortVersions(gone)
	return now, gone, nil
}

// removeWays removes the ways to a release, and those that begin with it.
func (r *Repository) removeWays(version string) error {
	all, err := r.Releases()
	if err != nil {
		return err
	}
	for _, v := range all {
		w, err := r.Ways(v)
		if err != nil {
			return err
		}
		if w == nil || v == version {
			continue
		}
		if w.Leave(version) {
			if err := r.SaveWays(w); err != nil {
				return err
			}
		}
	}
	return r.dropWays(version)
}

func (r *Repository) dropWays(version string) error {
	v, err := manifest.ParseVersion(version)
	if err == nil {
		err = os.Remove(r.path(manifest.WaysPath(v)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove ways: %w", err)
	}
	return nil
}

// isWays reports whether a target is a document of ways.
func isWays(name string) bool { return strings.HasPrefix(name, "ways/") }

// ways compares the ways of two lists. They may change; but each leads to a release of the list, from others of it.
func (j *judge) ways(list, old map[string]*metadata.TargetFiles) error {
	for _, name := range names(list) {
		if !isWays(name) || old[name] != nil && old[name].Equal(*list[name]) {
			continue
		}
		w, err := manifest.ParseWays(j.c.Files[targetPath(name, list[name])])
		if err != nil {
			return bad("%s: %w", name, err)
		}
		if w.Fleet != j.c.Fleet || manifest.WaysPath(w.Version) != name {
			return bad("%s describes the ways to release %s of fleet %s", name, w.Version, w.Fleet)
		}
		if list[manifest.ReleasePath(w.Version)] == nil {
			return bad("%s leads to release %s, and its list has no such release", name, w.Version)
		}
		for _, l := range w.Layers {
			for _, d := range l.Deltas {
				if list[manifest.ReleasePath(d.From)] == nil {
					return bad("%s begins with release %s, and its list has no such release", name, d.From)
				}
			}
		}
		j.p.Ways = append(j.p.Ways, w)
	}
	slices.SortFunc(j.p.Ways, func(a, b *manifest.Ways) int { return manifest.CompareVersions(a.Version, b.Version) })
	for _, name := range names(old) {
		if version, ok := manifest.WaysOfPath(name); ok && list[name] == nil {
			j.p.NoWays = append(j.p.NoWays, version)
		}
	}
	manifest.SortVersions(j.p.NoWays)
	return nil
}
