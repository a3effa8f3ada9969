package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// WaysFormat is the newest format of Ways that this code reads.
const WaysFormat = 1

// Limits of Ways. Size is in bytes.
const (
	MaxWays       = 8 << 20
	maxWaysValues = 200_000
	maxWaysLayers = 4096
	maxDeltas     = 64 // for one layer
)

// Ways names every way to get the layers of a release beside the form in which its images carry them, with its size. It is a TUF target named
// WaysPath(version), stored as JSON. Unlike the release it may change: ways are added as there are more releases that sites come from.
// What a way leads to is compared with the layer's diff ID, so a wrong entry costs bytes and nothing else.
type Ways struct {
	Format  int         `json:"format"`
	Fleet   string      `json:"fleet"`
	Version string      `json:"version"`
	Layers  []LayerWays `json:"layers"` // by diff ID, each once
}

// LayerWays are the ways to get one layer.
type LayerWays struct {
	DiffID digest.Digest `json:"diffID"`
	// Full is the layer's tar as one zstd stream; nil when that is not clearly smaller than what the image carries.
	Full *Blob `json:"full,omitempty"`
	// Deltas are of package bundle/delta, the smallest first.
	Deltas []Delta `json:"deltas,omitempty"`
}

// Delta makes a layer from all layers of one image, lowest first.
type Delta struct {
	Blob
	Base digest.Digest `json:"base"` // config digest of that image
	From string        `json:"from"` // a release that has it
	// Spool is how many bytes of disk applying needs beside the base and the layer.
	Spool int64 `json:"spool"`
}

// WaysPath is the TUF target path of the ways to a release.
func WaysPath(version string) string { return "ways/" + version + ".json" }

// WaysOfPath returns the version of the release that the ways at a TUF target path lead to.
func WaysOfPath(path string) (version string, ok bool) {
	version, ok = strings.CutPrefix(path, "ways/")
	if ok {
		version, ok = strings.CutSuffix(version, ".json")
	}
	return version, ok
}

// Of returns the ways to a layer; it is empty when there are none. w may be nil.
func (w *Ways) Of(diffID digest.Digest) LayerWays {
	if w != nil {
		for _, l := range w.Layers {
			if l.DiffID == diffID {
				return l
			}
		}
	}
	return LayerWays{DiffID: diffID}
}

// Blobs returns all content that ways name, each digest once.
func (w *Ways) Blobs() (list []Blob) {
	if w == nil {
		return nil
	}
	seen := map[digest.Digest]bool{}
	add := func(b Blob) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			list = append(list, b)
		}
	}
	for _, l := range w.Layers {
		if l.Full != nil {
			add(*l.Full)
		}
		for _, d := range l.Deltas {
			add(d.Blob)
		}
	}
	return list
}

// Leave takes out the deltas that begin with a release, and reports whether there were any.
func (w *Ways) Leave(from string) (changed bool) {
	for i := range w.Layers {
		l := &w.Layers[i]
		before := len(l.Deltas)
		l.Deltas = slices.DeleteFunc(l.Deltas, func(d Delta) bool { return d.From == from })
		changed = changed || len(l.Deltas) != before
	}
	return changed
}

// Text says for people from where ways lead, and by how many bytes: "from 1.0.0 (5.1 MB), 0.9.0 (7.3 MB)".
func (w *Ways) Text() string {
	var full int64
	from := map[string]int64{}
	for _, l := range w.Layers {
		if l.Full != nil {
			full += l.Full.Size
		}
		best := map[string]int64{}
		for _, d := range l.Deltas {
			if n, ok := best[d.From]; !ok || d.Size < n {
				best[d.From] = d.Size
			}
		}
		for v, n := range best {
			from[v] += n
		}
	}
	versions := slices.Collect(maps.Keys(from))
	SortVersions(versions)
	var parts []string
	for _, v := range slices.Backward(versions) {
		parts = append(parts, v+" ("+SizeText(from[v])+")")
	}
	switch {
	case len(parts) > 0:
		return "from " + strings.Join(parts, ", ")
	case full > 0:
		return "whole layers (" + SizeText(full) + ")"
	}
	return "none"
}

// ParseWays reads a document of ways and validates it.
func ParseWays(data []byte) (*Ways, error) {
	return valid[Ways]("ways", data, JSONLimits{Size: MaxWays, Depth: maxDepth, Values: maxWaysValues}, WaysFormat)
}

// Encode returns the document that ParseWays reads, in one order: the same ways give the same bytes.
func (w *Ways) Encode() ([]byte, error) {
	sorted := *w
	sorted.Layers = slices.Clone(w.Layers)
	slices.SortFunc(sorted.Layers, func(a, b LayerWays) int { return cmp.Compare(a.DiffID, b.DiffID) })
	for i, l := range sorted.Layers {
		sorted.Layers[i].Deltas = sortedDeltas(l.Deltas)
	}
	if err := sorted.Validate(); err != nil {
		return nil, err
	}
	data, err := encode(&sorted, MaxWays)
	if err != nil {
		return nil, fmt.Errorf("cannot write ways to release %s: %w", w.Version, err)
	}
	return data, nil
}

// sortedDeltas returns a copy in one order, the smallest first.
func sortedDeltas(list []Delta) []Delta {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Delta) int { return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Digest, b.Digest)) })
	return list
}

// encode writes a document of at most limit bytes.
func encode(document any, limit int) ([]byte, error) {
	data, err := json.Marshal(document)
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return data, err
}

// Validate fails with ErrInvalid or ErrTooLarge, naming the place.
func (w *Ways) Validate() error {
	c := &checker{what: "ways to " + quoted(w.Version)}
	c.text("fleet", w.Fleet, 63, false)
	c.version("version", w.Version, false)
	c.count("layers", len(w.Layers), maxWaysLayers)
	seen := map[digest.Digest]bool{}
	for _, l := range w.Layers {
		c.at("layer %s", quoted(string(l.DiffID)))
		c.digest("diffID", l.DiffID)
		if seen[l.DiffID] {
			c.fail("it is there twice")
		}
		seen[l.DiffID] = true
		if l.Full != nil {
			c.way("full", *l.Full)
		}
		c.deltas(l.Deltas)
	}
	return c.err
}

// deltas checks the deltas to one layer or program.
func (c *checker) deltas(list []Delta) {
	c.count("deltas", len(list), maxDeltas)
	for _, d := range list {
		c.way("delta", d.Blob)
		c.digest("base", d.Base)
		c.version("from", d.From, false)
		if d.Spool < 0 {
			c.fail("the spool has %d bytes", d.Spool)
		}
	}
}

// way checks content that is fetched.
func (c *checker) way(what string, b Blob) {
	c.digest(what, b.Digest)
	c.text("mediaType", b.MediaType, 255, true)
	if b.Size <= 0 {
		c.fail("%s has %d bytes", what, b.Size)
	}
}
