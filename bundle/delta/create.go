package delta

import (
	"context"
	"fmt"
	"io"
	"sort"

	"golang.org/x/sync/errgroup"

	"dhow/bundle"
)

// Options are the settings of Create.
type Options struct {
	Dir      string                               // where temporary files are made: a few times as large as the layers
	Progress func(stage Stage, done, total int64) // may be nil; total is 0 while it is not known
}

// Stage names what Create is busy with.
type Stage string

// Stages in their order.
const (
	Scanning  Stage = "looking for zips"
	Opening   Stage = "opening zips"
	Indexing  Stage = "reading the base"
	Comparing Stage = "comparing"
	Verifying Stage = "applying"
)

// Stats say what a delta is made of.
type Stats struct {
	Size    int64 // of the delta
	Spool   int64 // bytes of disk that applying needs
	Opened  int   // streams of the new layer that are opened, those inside of others not counted
	Inexact int   // streams that had to stay closed because this program can't write them again
	Copied  int64 // bytes of the opened layer that come from the base as they are
	Differs int64 // bytes that come from the base with differences
	Added   int64 // bytes that the delta holds
}

// maker makes one delta.
type maker struct {
	ctx      context.Context
	opts     Options
	old, new side
	spool    *scratch // the base's streams, opened
	layer    *scratch // the new layer, opened
	ops      *scratch
	parts    [sectionCount]*scratch
	small    [2]*sectionWriter
	header   Header
	stats    Stats
	used     []bool // by stream of the base: an operation reads it
}

// Create writes the delta that leads from the layers of a base to another layer, and has applied it before it writes the first byte.
// The same input gives the same delta. It holds at most 1.5 GB of memory whatever the size of the layers.
func Create(ctx context.Context, old []Layer, layer Layer, w io.Writer, opts Options) (Stats, error) {
	if opts.Progress == nil {
		opts.Progress = func(Stage, int64, int64) {}
	}
	m := &maker{ctx: ctx, opts: opts, header: Header{New: layer.Identity, Window: maxWindow}}
	for _, l := range old {
		m.header.Old = append(m.header.Old, l.Identity)
	}
	m.old = side{ctx: ctx, layers: join(old), dir: opts.Dir}
	m.new = side{ctx: ctx, layers: join([]Layer{layer}), dir: opts.Dir}
	defer m.close()
	if err := m.create(old, w); err != nil {
		return Stats{}, fmt.Errorf("cannot make delta: %w", err)
	}
	return m.stats, nil
}

func (m *maker) close() {
	for _, s := range append([]*scratch{m.spool, m.layer, m.ops, m.old.held, m.new.held}, m.parts[:]...) {
		s.close()
	}
}

func (m *maker) create(old []Layer, w io.Writer) error {
	if err := m.checkSizes(); err != nil {
		return err
	}
	if err := m.open(); err != nil {
		return err
	}
	if err := m.compare(); err != nil {
		return err
	}
	if err := m.encode(); err != nil {
		return err
	}
	return m.finish(old, w)
}

// checkSizes refuses what no header can hold.
func (m *maker) checkSizes() error {
	h := m.header
	if len(h.Old) > maxLayers {
		return fmt.Errorf("the base is %w: %d layers, at most %d", bundle.ErrTooLarge, len(h.Old), maxLayers)
	}
	h.length = int64(headerSize(len(h.Old)))
	return h.check(h.length)
}

// progress returns a function that counts for a stage; it may be called by two goroutines, one after the other only.
func (m *maker) progress(stage Stage, total int64) func(int64) {
	done := int64(0)
	m.opts.Progress(stage, 0, total)
	return func(n int64) {
		done += n
		m.opts.Progress(stage, done, total)
	}
}

// both runs f for both sides at once.
func (m *maker) both(f func(s *side) error) error {
	var g errgroup.Group
	for _, s := range []*side{&m.old, &m.new} {
		g.Go(func() error { return f(s) })
	}
	return g.Wait()
}

// open finds and opens the zips of both sides that are not the same on both.
func (m *maker) open() error {
	step := locked(m.progress(Scanning, m.old.layers.size+m.new.layers.size))
	m.old.step, m.new.step = step, step
	if err := m.both((*side).find); err != nil {
		return err
	}
	m.opts.Progress(Opening, 0, 0)
	have := map[*side]map[[16]byte]bool{
		&m.new: sums(m.old.streams, map[[16]byte]bool{}),
		&m.old: sums(m.new.streams, map[[16]byte]bool{}),
	}
	if err := m.both(func(s *side) error { return s.open(have[s], s == &m.new) }); err != nil {
		return err
	}
	inside := func(s *side) map[[16]byte]bool {
		all := map[[16]byte]bool{}
		for _, one := range s.streams {
			sums(one.inside, all)
		}
		return all
	}
	have = map[*side]map[[16]byte]bool{&m.new: inside(&m.old), &m.old: inside(&m.new)}
	return m.both(func(s *side) (err error) {
		if s == &m.old {
			m.spool, err = s.openInside(have[s], false)
		} else {
			m.layer, err = s.openInside(have[s], true)
		}
		return err
	})
}

// compare finds the operations.
func (m *maker) compare() error {
	base := join(append(append([]Layer(nil), m.old.layers.layers...), Layer{Identity{Size: m.spool.size}, m.spool}))
	index := newIndex(base.size)
	old := newPages(base, base.size, 2048)
	if err := index.fill(m.ctx, old, m.progress(Indexing, base.size)); err != nil {
		return err
	}
	var err error
	if m.ops, err = newScratch(m.opts.Dir); err != nil {
		return err
	}
	literals, err := newSectionWriter(maxWindow)
	if err != nil {
		return err
	}
	for i := range m.small {
		if m.small[i], err = newSectionWriter(smallWindow); err != nil {
			return err
		}
	}
	differences := m.small[0]
	if err := m.begin(sectionLiterals, literals); err != nil {
		return err
	}
	if err := m.begin(sectionDifferences, differences); err != nil {
		return err
	}
	m.used = make([]bool, len(m.old.streams))
	layer := newPages(m.layer, m.layer.size, 64)
	out := &emitter{base: old, layer: layer, ops: m.ops, literals: literals, differences: differences, touched: m.touched}
	out.costs[1].seen[0], out.costs[1].total = 100, 100
	match := &matcher{ctx: m.ctx, index: index, base: old, layer: layer, out: out, step: m.progress(Comparing, m.layer.size)}
	if err := match.run(); err != nil {
		return err
	}
	if err := m.end(sectionLiterals, literals); err != nil {
		return err
	}
	if err := m.end(sectionDifferences, differences); err != nil {
		return err
	}
	if out.sums[opDiff] > 0 {
		m.header.Features |= featureDifferences
	}
	m.stats.Copied, m.stats.Added, m.stats.Differs = out.sums[opCopy], out.sums[opAdd], out.sums[opDiff]
	return m.ops.w.Flush()
}

// touched notes which streams of the base an operation reads.
func (m *maker) touched(from, to int64) {
	from, to = from-m.old.layers.size, to-m.old.layers.size
	i := sort.Search(len(m.old.streams), func(i int) bool { return m.old.streams[i].spool+m.old.streams[i].opened > from })
	for ; i < len(m.old.streams) && m.old.streams[i].spool < to; i++ {
		m.used[i] = true
	}
}
