package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/ladder"
	"dhow/manifest"
)

// refusedWay is a delta, or a layer as zstd, that came as it was signed and did not give its layer here: it is tried again only when a person
// brings it on a stick or orders an update with Retry.
type refusedWay struct {
	Blob    digest.Digest `json:"blob"`
	Release string        `json:"release"` // that it leads to
	Text    string        `json:"text"`
	When    time.Time     `json:"when"`
}

// factRefused is the list of them, the newest last; maxRefused bounds it.
const (
	factRefused = "refused-ways"
	maxRefused  = 200
)

func (m *Manager) refusedWays() (list []refusedWay, err error) {
	_, err = m.Journal.Fact(factRefused, &list)
	return list, err
}

// missing is what a release lacks here.
type missing struct {
	release *manifest.Release
	wants   []fetch.Want // everything, as images carry it
	others  []fetch.Want // what is no layer
	query   ladder.Query
}

// missingOf looks at what is here of a release, and for what leads to the rest. Documents that are not here are asked of sources, which may
// be none: no failure of that is an error, as layers can always be had as their images carry them.
func (m *Manager) missingOf(ctx context.Context, r *manifest.Release, platform string, sources []bundle.Source) (out missing, err error) {
	out.release = r
	if out.wants, err = fetch.Wants(m.Store, r, platform); err != nil {
		return out, err
	}
	images, err := r.PlatformImages(platform)
	if err != nil {
		return out, err
	}
	q := ladder.Query{Store: m.Store, Engine: map[digest.Digest]bool{}, Refused: map[digest.Digest]bool{}, Room: m.room()}
	forms := map[digest.Digest]bool{}
	for _, image := range images {
		for _, l := range image.Layers {
			q.Layers = append(q.Layers, l)
			forms[l.Digest] = true
		}
	}
	out.others = slices.DeleteFunc(slices.Clone(out.wants), func(w fetch.Want) bool { return forms[w.Forms[0].Digest] })
	refused, err := m.refusedWays()
	if err != nil {
		return out, err
	}
	for _, w := range refused {
		q.Refused[w.Blob] = true
	}
	if len(out.wants) == len(out.others) {
		sources = nil // all layers are here: nothing is asked
	}
	if q.Ways = m.waysTo(ctx, r.Version, sources); q.Ways != nil {
		k := known{m: m, platform: platform, sources: sources, q: &q, versions: map[string]bool{r.Version: true}}
		k.find(ctx)
	}
	out.query = q
	return out, nil
}

// plan returns the cheapest plan, with the bytes that it moves and those that it writes, files and configurations included.
func (x missing) plan() (plan ladder.Plan, bytes, disk int64) {
	plan = ladder.Make(x.query)
	rest := int64(0)
	for _, w := range x.others {
		rest += max(0, w.Size()-x.query.Store.PartialSize(w.Forms[0]))
	}
	return plan, plan.Bytes + rest, plan.Disk + rest
}

// total is how many bytes a plan moves from its beginning, with those that are here.
func (x missing) total(plan ladder.Plan) (n int64) {
	for _, s := range plan.Steps {
		n += s.Rungs[0].Blob.Size
	}
	return n + fetch.Size(x.others)
}

// room is how many bytes may be written to the store; 0 when that is not known.
func (m *Manager) room() int64 {
	free, err := site.Free(m.Paths.Store())
	if err != nil {
		return 0
	}
	return max(1, free-spaceReserve)
}

// waysTo returns the ways to a release, nil when they can't be had.
func (m *Manager) waysTo(ctx context.Context, version string, sources []bundle.Source) *manifest.Ways {
	ways, err := m.Trust.Ways(ctx, nil, version)
	for _, src := range sources {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			break
		}
		ways, err = m.Trust.Ways(ctx, src, version)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && len(sources) > 0 {
		m.Log.Warn("the ways to a release can't be had, so its layers are fetched whole", "release", version, "error", err)
	}
	return ways
}

// known fills in the images from which deltas lead on.
type known struct {
	m        *Manager
	platform string
	sources  []bundle.Source
	q        *ladder.Query
	versions map[string]bool // that have been looked at
}

// find looks at the releases that are kept, at images that only the engine has, and then for releases that lead further for fewer bytes.
func (k known) find(ctx context.Context) {
	kept, err := k.m.keptReleases()
	if err != nil {
		k.m.Log.Warn("what is kept here is not known, so no delta is used", "error", err)
		return
	}
	for _, g := range kept {
		if r, err := k.m.releaseOf(g); err == nil && !k.versions[g.Release] {
			k.add(r, nil)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(k.q.Layers), k.q.Store.HasLayer)
	k.engineOnly(ctx, k.q.Ways, missing)
	for _, step := range ladder.Make(*k.q).Steps {
		for _, d := range k.q.Ways.Of(step.Layer.DiffID).Deltas {
			if k.q.Refused[d.Digest] || k.versions[d.From] || d.Size+2*manifestSize >= step.Rungs[0].Bytes {
				continue
			}
			k.versions[d.From] = true
			ways := k.m.waysTo(ctx, d.From, k.sources)
			if ways == nil {
				continue
			}
			if between := k.add(k.document(ctx, d.From), ways); between != nil {
				k.engineOnly(ctx, ways, between)
			}
		}
	}
}

// manifestSize is what the documents of a release have at least, in bytes: for less no release in between is looked at.
const manifestSize = 4 << 10

// document returns a release by its version, nil when it can't be had.
func (k known) document(ctx context.Context, version string) *manifest.Release {
	r, _, err := k.m.releaseFrom(ctx, k.sources, version)
	if err != nil {
		k.m.Log.Info("a release that would lead further can't be had", "release", version, "error", err)
		return nil
	}
	return r
}

// add makes the images of a release known, and returns those of their layers that are not here.
func (k known) add(r *manifest.Release, ways *manifest.Ways) (missing []manifest.Layer) {
	if r == nil {
		return nil
	}
	images, err := r.PlatformImages(k.platform)
	if err != nil {
		return nil
	}
	k.versions[r.Version] = true
	k.q.Known = append(k.q.Known, ladder.Release{Version: r.Version, Images: images, Ways: ways})
	for _, image := range images {
		for _, l := range image.Layers {
			if !k.q.Store.HasLayer(l) {
				missing = append(missing, l)
			}
		}
	}
	return missing
}

// engineOnly asks the engine for the bases of deltas to layers, where the store has not all of them.
func (k known) engineOnly(ctx context.Context, ways *manifest.Ways, layers []manifest.Layer) {
	asked := map[digest.Digest]bool{}
	for _, l := range layers {
		for _, d := range ways.Of(l.DiffID).Deltas {
			if asked[d.Base] || k.stored(d.Base) {
				continue
			}
			asked[d.Base] = true
			there, err := k.m.Engine.HasImage(ctx, d.Base)
			if err != nil || !there {
				continue
			}
			k.q.Engine[d.Base] = true
			if !k.versions[d.From] {
				k.add(k.document(ctx, d.From), nil)
			}
		}
	}
}

// stored reports whether the store has all layers of an image that is known.
func (k known) stored(config digest.Digest) bool {
	for _, r := range k.q.Known {
		for _, image := range r.Images {
			if image.Config.Digest == config {
				return !slices.ContainsFunc(image.Layers, func(l manifest.Layer) bool { return !k.q.Store.HasLayer(l) })
			}
		}
	}
	return false
}

// climb fetches what a release lacks, by the cheapest ladder. What did not fit is told, and remembered.
func (m *Manager) climb(
	ctx context.Context, t *change.Task, p fetchPlan, x missing, sources []bundle.Source, o fetch.Options, note *blobsNote,
) (fetch.Moved, error) {
	return ladder.Run(ctx, ladder.Job{
		Query: x.query, Others: x.others, Sources: sources, Options: o, Measure: m.room,
		Export: m.Engine.Export,
		Dearer: func(plan ladder.Plan) error {
			dearer, err := m.dearer(p, x.release.Version, plan)
			text := dearer.text
			if err != nil || text == "" || text == note.Dearer {
				return err
			}
			m.Log.Warn("the disk is short, so more bytes move", "release", x.release.Version, "what", text)
			note.Dearer, note.DearerSaid = dearer.parts()
			note.told(text)
			return t.Save(*note)
		},
		Progress: func(done, total int64) {
			t.Progress(change.Progress{Done: done, Total: total, Message: "putting the fetched parts together", Said: api.Say("joining")})
		},
		Setback: func(b ladder.Setback) {
			text := b.Text(layerName(x, b.Layer))
			m.Log.Warn("one rung down", "release", x.release.Version, "what", text)
			note.told(text)
			if err := errors.Join(t.Save(*note), m.refuseWay(b, x.release.Version, text)); err != nil {
				m.Log.Warn("a setback can't be remembered", "error", err)
			}
		},
	})
}

// told keeps a sentence for the history.
func (n *blobsNote) told(text string) {
	if n.Setbacks = append(n.Setbacks, text); len(n.Setbacks) > maxSetbacks {
		n.Setbacks = n.Setbacks[1:]
	}
}

// dropRungs removes what was fetched to make layers of it, when these are here: the agent may have been killed just before it did that.
func (m *Manager) dropRungs(ctx context.Context, r *manifest.Release, platform string) error {
	x, err := m.missingOf(ctx, r, platform, nil)
	if err != nil {
		return err
	}
	return ladder.Drop(x.query)
}

// maxSetbacks bounds what is told of one fetch.
const maxSetbacks = 50

// refuseWay remembers what is not to be tried again.
func (m *Manager) refuseWay(b ladder.Setback, release, text string) error {
	if !b.Lasting {
		return nil
	}
	list, err := m.refusedWays()
	if err != nil {
		return err
	}
	list = append(list, refusedWay{Blob: b.Rung.Blob.Digest, Release: release, Text: text, When: m.stamp()})
	return m.Journal.SetFact(factRefused, list[max(0, len(list)-maxRefused):])
}

// layerName says which layer that is, such as "backend layer 3".
func layerName(x missing, layer manifest.Layer) string {
	releases := []ladder.Release{}
	for _, i := range x.release.Images {
		releases = append(releases, ladder.Release{Images: i.Platforms})
	}
	for n, r := range append(releases, x.query.Known...) {
		for _, image := range r.Images {
			for i, l := range image.Layers {
				if l.Digest != layer.Digest {
					continue
				}
				if n < len(x.release.Images) {
					return fmt.Sprintf("%s layer %d", x.release.Images[n].Services[0], i+1)
				}
				return fmt.Sprintf("layer %d of an image of %s", i+1, r.Version)
			}
		}
	}
	return "layer " + layer.DiffID.String()
}

// rungs names everything in the store that may still become a layer of a release that is on its way: a fetch may take days, and go on after
// something else was done. Nothing is asked of any source.
func (m *Manager) rungs(ctx context.Context, version, platform string) (list []digest.Digest, err error) {
	r, _, err := m.Trust.CachedRelease(version)
	if err != nil {
		return nil, nil // it has not come yet, so nothing of it has
	}
	x, err := m.missingOf(ctx, r, platform, nil)
	if err != nil || len(x.wants) == len(x.others) {
		return nil, err
	}
	ways := []*manifest.Ways{x.query.Ways}
	for _, k := range x.query.Known {
		ways = append(ways, k.Ways)
		for _, image := range k.Images {
			for _, l := range image.Layers {
				list = append(list, l.Digest, l.DiffID)
			}
		}
	}
	for _, w := range ways {
		for _, b := range w.Blobs() {
			list = append(list, b.Digest)
		}
	}
	return list, nil
}
