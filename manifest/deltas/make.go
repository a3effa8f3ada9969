package deltas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// Step is what Make is busy with.
type Step struct {
	From        string // the release that a delta begins with; "" for a whole layer
	Service     string // the first that runs the image
	Layer       int    // of its image, from 1
	Stage       string // "comparing", "compressing" …
	Done, Total int64  // bytes; Total is 0 while it is not known
}

// Make returns the ways to a release: those of known, which may be nil, and in addition each layer as a whole and the deltas from older
// releases. Of several that have the same image the first in the list is named. At most 16 deltas lead
// to one layer. It is nil when there are no ways. What could not be made is
// said in warnings, and is no error unless it is ctx, a full disk, or a layer of the release itself.
func Make(ctx context.Context, store *bundle.Store, release *manifest.Release, older []*manifest.Release, known *manifest.Ways,
	progress func(Step),
) (w *manifest.Ways, warnings []string, err error) {
	dir := filepath.Join(store.Dir(), "ways")
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("cannot make deltas: %w", err)
	}
	end, err := share(dir, func() { _ = durable.Clean(dir) }) // what a Make that was killed has left
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make deltas: %w", err)
	}
	defer end()
	if progress == nil {
		progress = func(Step) {}
	}
	m := &maker{
		ctx: ctx, store: store, dir: dir, progress: progress, base: newTars(ctx, store, dir), layer: newTars(ctx, store, dir),
		ways: map[digest.Digest]*manifest.LayerWays{}, done: map[string]bool{},
	}
	defer m.base.close()
	defer m.layer.close()
	if known != nil {
		for _, l := range known.Layers {
			l.Deltas = slices.Clone(l.Deltas)
			m.ways[l.DiffID] = &l
		}
	}
	if err := m.release(release, older); err != nil {
		return nil, nil, fmt.Errorf("cannot make deltas to release %s: %w", release.Version, err)
	}
	w = &manifest.Ways{Format: manifest.WaysFormat, Fleet: release.Fleet, Version: release.Version}
	for _, l := range m.ways {
		l.Deltas = bounded(l.Deltas, older)
		if l.Full != nil || len(l.Deltas) > 0 {
			w.Layers = append(w.Layers, *l)
		}
	}
	if len(w.Layers) == 0 {
		return nil, m.warnings, nil
	}
	slices.SortFunc(w.Layers, func(a, b manifest.LayerWays) int { return strings.Compare(string(a.DiffID), string(b.DiffID)) })
	return w, m.warnings, w.Validate()
}

// maxDeltas is how many deltas lead to one layer: each is stored, listed and weighed by every site.
const maxDeltas = 16

// bounded leaves out deltas beyond maxDeltas: those from releases that nobody asks for any more go first, then the oldest and the largest.
func bounded(list []manifest.Delta, asked []*manifest.Release) []manifest.Delta {
	if len(list) <= maxDeltas {
		return list
	}
	old := map[string]int{}
	for _, d := range list {
		old[d.From] = 1
	}
	for _, r := range asked {
		old[r.Version] = 0
	}
	slices.SortStableFunc(list, func(a, b manifest.Delta) int {
		return cmp.Or(cmp.Compare(old[a.From], old[b.From]), manifest.CompareVersions(b.From, a.From), cmp.Compare(a.Size, b.Size))
	})
	return list[:maxDeltas]
}

// maker makes the ways to one release.
type maker struct {
	ctx      context.Context
	store    *bundle.Store
	dir      string
	progress func(Step)
	base     *tars // that of the delta that is being made
	layer    *tars // and its layer
	ways     map[digest.Digest]*manifest.LayerWays
	done     map[string]bool // keys of what was tried already
	warnings []string
}

// task is one layer of an image that ways are made to.
type task struct {
	manifest.Layer
	service string
	number  int
}

func (m *maker) release(r *manifest.Release, older []*manifest.Release) error {
	for _, image := range r.Images {
		for _, p := range image.Platforms {
			for n, l := range p.Layers {
				t := task{l, firstOf(image.Services, image.Ref), n + 1}
				if err := m.full(t); err != nil {
					return err
				}
			}
			for _, o := range older {
				if err := m.deltas(image, p, o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func firstOf(services []string, other string) string {
	if len(services) > 0 {
		return services[0]
	}
	return other
}

// deltas makes those from an older release to the layers of an image.
func (m *maker) deltas(image manifest.Image, p manifest.PlatformImage, older *manifest.Release) error {
	base, has := counterpart(older, image, p.Platform)
	if base == nil {
		return nil
	}
	for n, l := range p.Layers {
		if has[l.DiffID] || l.Size < 2*leastSaving {
			continue
		}
		t := task{l, firstOf(image.Services, image.Ref), n + 1}
		err := m.delta(t, *base, older.Version)
		if err == nil {
			continue
		}
		if m.ctx.Err() != nil || errors.Is(err, syscall.ENOSPC) {
			return err
		}
		if errors.Is(err, errAbsent) {
			m.warn("the images of release %s are not in the store: no deltas from it", older.Version)
			return nil
		}
		m.warn("no delta from %s for %s layer %d: %v", older.Version, t.service, t.number, err)
	}
	return nil
}

func (m *maker) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(m.warnings, text) {
		m.warnings = append(m.warnings, text)
	}
}

// of returns the ways to a layer, to add to them.
func (m *maker) of(diffID digest.Digest) *manifest.LayerWays {
	if m.ways[diffID] == nil {
		m.ways[diffID] = &manifest.LayerWays{DiffID: diffID}
	}
	return m.ways[diffID]
}

// counterpart finds the image of an older release that an image takes the place of: that of the same service, or else of the same name. has are
// all layers that a site of the platform has with that release.
func counterpart(older *manifest.Release, image manifest.Image, platform string) (base *manifest.PlatformImage, has map[digest.Digest]bool) {
	has = map[digest.Digest]bool{}
	var named *manifest.PlatformImage
	for _, o := range older.Images {
		for _, p := range o.Platforms {
			if p.Platform != platform {
				continue
			}
			for _, l := range p.Layers {
				has[l.DiffID] = true
			}
			switch {
			case base == nil && slices.ContainsFunc(o.Services, func(s string) bool { return slices.Contains(image.Services, s) }):
				base = &p
			case named == nil && repository(o.Ref) == repository(image.Ref):
				named = &p
			}
		}
	}
	if base == nil {
		base = named
	}
	return base, has
}

// repository is an image reference without tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		ref = ref[:i]
	}
	return ref
}
