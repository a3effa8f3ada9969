package ladder

import (
	"cmp"
	"maps"
	"slices"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Kind says how a layer is had.
type Kind string

// The kinds of rungs.
const (
	Delta   Kind = "delta"   // from an image that is here, or that an earlier step makes
	Full    Kind = "full"    // whole, as zstd
	Carried Kind = "carried" // whole, as the image carries it
)

// Release is a release whose images may be here, or lead further.
type Release struct {
	Version string
	Images  []manifest.PlatformImage // for this platform
	Ways    *manifest.Ways           // nil when they can't be had
}

// Query is what is wanted, and what is known.
type Query struct {
	Store  *bundle.Store
	Layers []manifest.Layer // what is wanted; those that are here don't count
	Ways   *manifest.Ways   // to them; nil when they can't be had
	Known  []Release        // their images are the bases that can be used
	// Engine names the images, by config digest, that the engine has: where the store lacks a layer of theirs it is taken from there.
	Engine map[digest.Digest]bool
	// Refused names what is not to be tried: deltas and layers as zstd that did not fit before, and bases (by config digest).
	Refused map[digest.Digest]bool
	// Room is how many bytes may be written; 0 means any number.
	Room int64
	// cramped names what the disk was too full to make a layer of, whatever was planned.
	cramped map[digest.Digest]bool
}

// Plan says how the layers that are missing are had.
type Plan struct {
	Steps []Step // in the order in which they are made
	Bytes int64  // that have still to move
	Disk  int64  // how many bytes of disk are in use at once, beside what is there now
	// Roomier moves fewer bytes and needs more disk than there is; nil when there is no such plan.
	Roomier *Plan
}

// Step gets one layer.
type Step struct {
	Layer   manifest.Layer
	Rungs   []Rung // the first is the one that is planned, the others are what is left if it fails
	Between bool   // nobody wants the layer for itself: it belongs to a base
}

// Rung is one way to get a layer.
type Rung struct {
	Kind  Kind
	Blob  manifest.Blob // what is fetched for it
	Bytes int64         // that have still to move
	// From is a release that has the base of a delta, and Base the base.
	From  string
	Base  manifest.PlatformImage
	Spool int64 // bytes of disk that applying a delta needs beside base and layer
}

// documents is how many bytes of release and ways are fetched to know of a base that is not here: a base in between has to save more.
const documents = 64 << 10

// Make plans. It looks at the names and sizes in the store and at nothing else. What can't be had in another way is planned as it is carried,
// whether or not there is room for that.
func Make(q Query) Plan {
	p := planner{Query: q, here: map[manifest.Blob]bool{}, closed: map[digest.Digest]bool{}}
	maps.Copy(p.closed, q.cramped)
	best := p.cheapest()
	for tight := best; q.Room > 0 && best.Disk > q.Room && p.close(tight); {
		if tight = p.cheapest(); tight.Disk < best.Disk {
			best = tight
		}
	}
	if len(p.closed) > 0 {
		clear(p.closed)
		if free := p.cheapest(); free.Bytes < best.Bytes {
			best.Roomier = &free
		}
	}
	return best
}

// planner holds what does not change, and what has been closed for want of room.
type planner struct {
	Query
	here   map[manifest.Blob]bool // looked up once
	closed map[digest.Digest]bool // blobs
}

// cheapest looks for images that are worth to be made on the way, one after the other, as long as one makes the whole cheaper.
func (p *planner) cheapest() Plan {
	var via []manifest.PlatformImage
	best := p.build(nil)
	for {
		found := false
		base := via
		for _, image := range p.images() {
			if p.Refused[image.Config.Digest] || p.has(image) || slices.ContainsFunc(via, func(v manifest.PlatformImage) bool { return v.Config.Digest == image.Config.Digest }) {
				continue
			}
			try := append(slices.Clone(base), image)
			if plan := p.build(try); plan.Bytes+int64(len(try))*documents < best.Bytes+int64(len(via))*documents {
				best, via, found = plan, try, true
			}
		}
		if !found {
			return best
		}
	}
}

// images lists the images of all known releases, each once.
func (p *planner) images() (list []manifest.PlatformImage) {
	seen := map[digest.Digest]bool{}
	for _, r := range p.Known {
		for _, image := range r.Images {
			if !seen[image.Config.Digest] {
				seen[image.Config.Digest] = true
				list = append(list, image)
			}
		}
	}
	return list
}

// has reports whether all bytes of an image are here.
func (p *planner) has(image manifest.PlatformImage) bool {
	if p.Refused[image.Config.Digest] {
		return false
	}
	return p.Engine[image.Config.Digest] || !slices.ContainsFunc(image.Layers, func(l manifest.Layer) bool { return !p.hasLayer(l) })
}

func (p *planner) hasLayer(l manifest.Layer) bool {
	return p.hasBlob(l.Blob) || p.hasBlob(plain(l))
}

func (p *planner) hasBlob(b manifest.Blob) bool {
	has, known := p.here[b]
	if !known {
		has = p.Store.Has(b)
		p.here[b] = has
	}
	return has
}

// build plans with images that are made on the way. Their layers come first and from what is here, so nothing waits for itself.
func (p *planner) build(via []manifest.PlatformImage) Plan {
	var plan Plan
	planned := map[digest.Digest]bool{}
	wanted := map[digest.Digest]bool{}
	for _, l := range p.Layers {
		wanted[l.Digest] = true
	}
	add := func(l manifest.Layer, via []manifest.PlatformImage) {
		if !planned[l.Digest] && !p.hasLayer(l) {
			planned[l.Digest] = true
			plan.Steps = append(plan.Steps, Step{Layer: l, Rungs: p.rungs(l, via), Between: !wanted[l.Digest]})
		}
	}
	for _, image := range via {
		for _, l := range image.Layers {
			add(l, nil)
		}
	}
	for _, l := range p.Layers {
		add(l, via)
	}
	p.sum(&plan)
	return plan
}

// rungs lists the ways to a layer, cheapest first.
func (p *planner) rungs(l manifest.Layer, via []manifest.PlatformImage) []Rung {
	var list []Rung
	add := func(r Rung) {
		if p.Refused[r.Blob.Digest] || p.closed[r.Blob.Digest] {
			return
		}
		r.Bytes = p.left(r.Blob)
		list = append(list, r)
	}
	for _, ways := range p.ways(l.DiffID) {
		for _, d := range ways.Deltas {
			if base, ok := p.base(d.Base, l, via); ok {
				add(Rung{Kind: Delta, Blob: d.Blob, From: d.From, Base: base, Spool: d.Spool})
			}
		}
		if ways.Full != nil {
			add(Rung{Kind: Full, Blob: *ways.Full})
		}
	}
	list = append(list, Rung{Kind: Carried, Blob: l.Blob, Bytes: p.left(l.Blob)})
	// Of rungs that cost the same the one that makes the least work is the last that was added.
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b Rung) int { return cmp.Compare(a.Bytes, b.Bytes) })
	return list
}

// ways are those to a layer, from the documents of all releases: a way leads to a diff ID, whoever names it.
func (p *planner) ways(diffID digest.Digest) (list []manifest.LayerWays) {
	list = append(list, p.Ways.Of(diffID))
	for _, r := range p.Known {
		if r.Ways != p.Ways {
			list = append(list, r.Ways.Of(diffID))
		}
	}
	return list
}

// base returns an image that is here, or that is made on the way without the layer itself.
func (p *planner) base(config digest.Digest, l manifest.Layer, via []manifest.PlatformImage) (manifest.PlatformImage, bool) {
	for _, image := range p.images() {
		if image.Config.Digest == config && p.has(image) {
			return image, true
		}
	}
	for _, image := range via {
		if image.Config.Digest == config {
			return image, !slices.ContainsFunc(image.Layers, func(b manifest.Layer) bool { return b.DiffID == l.DiffID })
		}
	}
	return manifest.PlatformImage{}, false
}

// left is how many bytes of b have still to move.
func (p *planner) left(b manifest.Blob) int64 {
	if p.hasBlob(b) {
		return 0
	}
	return max(0, b.Size-p.Store.PartialSize(b))
}

// sum adds up what a plan costs: what is fetched, what is made of it, and the largest base and spool.
func (p *planner) sum(plan *Plan) {
	seen := map[digest.Digest]bool{}
	var most int64
	for _, s := range plan.Steps {
		r := s.Rungs[0]
		if !seen[r.Blob.Digest] {
			seen[r.Blob.Digest] = true
			plan.Bytes += r.Bytes
		}
		if r.Kind != Carried {
			plan.Disk += s.Layer.DiffSize
		}
		most = max(most, p.temporary(r))
	}
	plan.Disk += plan.Bytes + most
}

// temporary is how many bytes of disk a rung takes for as long as the layer is made.
func (p *planner) temporary(r Rung) int64 {
	if r.Kind != Delta {
		return 0
	}
	sum, image, archive := r.Spool, int64(0), false
	for _, l := range r.Base.Layers {
		image += l.DiffSize
		if !p.hasBlob(plain(l)) {
			sum += l.DiffSize // carried compressed, made on the way (that may come to be carried too), or out of the archive
			archive = archive || !p.hasLayer(l) && p.Engine[r.Base.Config.Digest]
		}
	}
	if archive {
		sum += image // the engine writes the archive of the whole image to its own disk first, which may be the same
	}
	return sum
}

// plain is the unpacked form of a layer as a blob.
func plain(l manifest.Layer) manifest.Blob { return manifest.Blob{Digest: l.DiffID, Size: l.DiffSize} }
