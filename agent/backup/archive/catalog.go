package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// maxRecent is how many chunks are known from memory only: those of packs that no run covers. More of them become a run. Tests make
// it smaller.
var maxRecent = 32 << 10

// state of a pack in the folder.
type state uint8

const (
	good    state = iota
	missing       // or cut short
	broken        // a Verify or a read found damage; what is right in it is still read when it is nowhere else
	retired       // being packed anew
)

// catalog knows where every chunk stands. It is made anew for each operation from the packs in the folder; runs only save reading
// the contents of all packs, and are given up when they are not right.
type catalog struct {
	dir     string
	mu      sync.Mutex
	packs   []packInfo
	states  []state
	numbers map[digest]uint32
	recent  map[digest]spot
	covers  []uint32 // packs in recent
	weak    map[digest]spot
	runs    []*run // large ones first
	block   [runBlock]byte
}

func (a *Archive) catalog() (*catalog, error) {
	c := &catalog{dir: a.dir, numbers: map[digest]uint32{}, recent: map[digest]spot{}, weak: map[digest]spot{}}
	if err := c.load(); err != nil {
		c.close()
		return nil, fmt.Errorf("cannot open archive: %w", err)
	}
	return c, nil
}

func (c *catalog) close() {
	for _, r := range c.runs {
		_ = r.f.Close()
	}
}

func packPath(dir string, name digest) string { return filepath.Join(dir, packsDir, name.String()) }

func (c *catalog) load() error {
	names, err := os.ReadDir(filepath.Join(c.dir, packsDir))
	if err != nil {
		return err
	}
	for _, d := range names {
		name, err := parseDigest(d.Name())
		if err != nil {
			continue
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.register(packInfo{name, info.Size()}, good)
	}
	names, err = os.ReadDir(filepath.Join(c.dir, damagedDir))
	if err != nil {
		return err
	}
	for _, d := range names {
		if name, err := parseDigest(d.Name()); err == nil {
			if n, ok := c.numbers[name]; ok {
				c.states[n] = broken
			}
		}
	}
	covered, err := c.loadRuns()
	if err != nil {
		return err
	}
	for n := range c.packs {
		if c.states[n] == broken || c.states[n] == good && !covered[uint32(n)] {
			if err := c.readPack(uint32(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadRuns opens the runs and returns which packs they cover.
func (c *catalog) loadRuns() (map[uint32]bool, error) {
	paths, err := filepath.Glob(filepath.Join(c.dir, indexDir, "*.run"))
	if err != nil {
		return nil, err
	}
	var all []*run
	for _, path := range paths {
		r, err := openRun(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			_ = os.Remove(path) // the packs have it all
			continue
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *run) int { return b.n - a.n })
	covered := map[uint32]bool{}
	for _, r := range all {
		twice := false
		for _, p := range r.packs {
			n, ok := c.numbers[p.name]
			if !ok {
				n = c.register(p, missing)
			} else if c.packs[n].size != p.size && c.states[n] == good {
				c.states[n] = missing
			}
			twice = twice || covered[n]
			r.global = append(r.global, n)
		}
		if twice { // an interrupted merge left it
			_ = os.Remove(r.f.Name())
			_ = r.f.Close()
			continue
		}
		for _, n := range r.global {
			covered[n] = true
		}
		c.runs = append(c.runs, r)
	}
	return covered, nil
}

func (c *catalog) register(p packInfo, s state) uint32 {
	n := uint32(len(c.packs))
	c.packs, c.states = append(c.packs, p), append(c.states, s)
	c.numbers[p.name] = n
	return n
}

// readPack takes up the contents of a pack that no run covers.
func (c *catalog) readPack(n uint32) error {
	chunks, _, err := openPack(packPath(c.dir, c.packs[n].name))
	if errors.Is(err, errPack) || errors.Is(err, fs.ErrNotExist) {
		if c.states[n] == good {
			c.states[n] = missing
		}
		return nil // a run may still know what stands in a broken one
	}
	if err != nil {
		return err
	}
	if c.states[n] == broken {
		for _, k := range chunks {
			c.weak[k.id] = spot{n, k.frame, k.off}
		}
		return nil
	}
	return c.take(n, chunks)
}

// add takes up a pack that has come to stand in the folder.
func (c *catalog) add(p packInfo, chunks []packed) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.numbers[p.name]
	if ok && c.states[n] == good {
		return nil
	}
	return c.take(c.register(p, good), chunks)
}

func (c *catalog) take(n uint32, chunks []packed) error {
	for _, k := range chunks {
		if _, ok := c.recent[k.id]; !ok {
			c.recent[k.id] = spot{n, k.frame, k.off}
		}
	}
	c.covers = append(c.covers, n)
	if len(c.recent) < maxRecent {
		return nil
	}
	return c.flush(false)
}

// flush makes a run of what is known from memory only, and joins runs, so that each is at least twice as long as the next; or
// all into one, without the packs that are not good.
func (c *catalog) flush(all bool) error {
	from := len(c.runs)
	size := len(c.recent)
	for from > 0 && (all || c.runs[from-1].n < 2*size) {
		from--
		size += c.runs[from].n
	}
	fresh := make(sorted, 0, len(c.recent))
	for id, s := range c.recent {
		fresh = append(fresh, place{id, s})
	}
	slices.SortFunc(fresh, func(a, b place) int { return bytes.Compare(a.id[:], b.id[:]) })
	var packs []packInfo
	local := map[uint32]uint32{}
	cover := func(n uint32) {
		if _, ok := local[n]; !ok && c.states[n] == good {
			local[n] = uint32(len(packs))
			packs = append(packs, c.packs[n])
		}
	}
	var cursors []cursor
	for _, r := range c.runs[from:] {
		cursors = append(cursors, &runCursor{r: r})
		for _, n := range r.global {
			cover(n)
		}
	}
	cursors = append(cursors, &fresh)
	for _, n := range c.covers {
		cover(n)
	}
	path := filepath.Join(c.dir, indexDir, fmt.Sprintf("%016x.run", rand.Uint64()))
	err := writeRun(path, cursors, packs, local)
	if errors.Is(err, errRun) {
		for _, r := range slices.Clone(c.runs[from:]) {
			if err := c.giveUp(r); err != nil {
				return err
			}
		}
		return c.flush(all)
	}
	if err != nil {
		return fmt.Errorf("cannot write index: %w", err)
	}
	made, err := openRun(path)
	if err != nil {
		return fmt.Errorf("cannot read index: %w", err)
	}
	for _, p := range packs {
		made.global = append(made.global, c.numbers[p.name])
	}
	for _, r := range c.runs[from:] {
		_ = r.f.Close()
		_ = os.Remove(r.f.Name()) // one that stays is found to be double
	}
	c.runs = append(c.runs[:from], made)
	clear(c.recent)
	c.covers = nil
	return nil
}

// giveUp drops a run that is not right and reads the contents of its packs instead.
func (c *catalog) giveUp(r *run) error {
	c.runs = slices.DeleteFunc(c.runs, func(o *run) bool { return o == r })
	_ = r.f.Close()
	_ = os.Remove(r.f.Name())
	for _, n := range r.global {
		if c.states[n] == good {
			if err := c.readPack(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup searches memory and runs; wanted says which packs count.
func (c *catalog) lookup(id digest, wanted func(state) bool) (spot, bool, error) {
	if s, ok := c.recent[id]; ok && wanted(c.states[s.pack]) {
		return s, true, nil
	}
	for i := 0; i < len(c.runs); i++ {
		r := c.runs[i]
		n, s, err := r.find(id, &c.block)
		if errors.Is(err, errRun) {
			if err := c.giveUp(r); err != nil {
				return spot{}, false, err
			}
			return c.lookup(id, wanted)
		}
		if err != nil {
			return spot{}, false, fmt.Errorf("cannot read index: %w", err)
		}
		if n >= 0 && wanted(c.states[s.pack]) {
			return s, true, nil
		}
	}
	return spot{}, false, nil
}

func isGood(s state) bool    { return s == good }
func isBroken(s state) bool  { return s == broken }
func isMissing(s state) bool { return s == missing }

// has says whether a chunk stands in a pack that nothing is known against.
func (c *catalog) has(id digest) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok, err := c.lookup(id, isGood)
	return ok, err
}

// find says where a chunk stands; ErrDamaged when it is nowhere.
func (c *catalog) find(id digest) (spot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok, err := c.lookup(id, isGood)
	if err != nil || ok {
		return s, err
	}
	if s, ok := c.weak[id]; ok {
		return s, nil
	}
	if s, ok, err = c.lookup(id, isBroken); err != nil || ok {
		return s, err
	}
	s, ok, err = c.lookup(id, isMissing)
	if err != nil {
		return s, err
	}
	if ok {
		return s, damaged("pack %s is missing or cut short", c.packs[s.pack].name)
	}
	var bad []string
	for n, st := range c.states {
		if st == missing {
			bad = append(bad, c.packs[n].name.String())
		}
	}
	if len(bad) > 0 {
		return s, damaged("a part is missing; packs missing or cut short: %s", strings.Join(bad[:min(len(bad), 3)], ", "))
	}
	return s, damaged("a part is missing, and its pack with it")
}
