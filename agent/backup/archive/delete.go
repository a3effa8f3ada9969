package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dhow/bundle/durable"
)

// Delete removes backups, and frees what no other backup needs. The records go first: from then on the backups do not exist, and
// a Delete that is interrupted afterwards only leaves space for the next one to free. One that is not there is no error. Packs of
// which most is garbage are packed anew, with the new pack on disk and read back before the old one goes. As long as any backup
// cannot be read wholly, what it needs is not known: then no space is freed, and the error names it.
func (a *Archive) Delete(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := checkName("backup", name); err != nil {
			return fmt.Errorf("cannot delete backup: %w", err)
		}
	}
	c, end, err := a.begin(true)
	if err != nil {
		return fmt.Errorf("cannot delete backups: %w", err)
	}
	defer end()
	for _, name := range names {
		if err := a.drop(name); err != nil {
			return fmt.Errorf("cannot delete backup %s: %w", name, err)
		}
	}
	if err := a.free(ctx, c); err != nil {
		return fmt.Errorf("cannot free the space of deleted backups: %w", err)
	}
	return nil
}

func (a *Archive) drop(name string) error {
	if err := point("archive/delete-record"); err != nil {
		return err
	}
	for _, path := range []string{a.recordPath(name), a.markPath(name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return point("archive/deleted-record")
}

// sweeper finds out what the remaining backups need.
type sweeper struct {
	*catalog
	run    *run
	needed []uint64        // a bit for each entry of the run
	weakly map[uint32]bool // broken packs with chunks that are nowhere else
}

func (a *Archive) free(ctx context.Context, c *catalog) error {
	list, err := a.List()
	if err != nil {
		return err
	}
	if len(c.runs) != 1 || len(c.covers) > 0 {
		if err := c.flush(true); err != nil {
			return err
		}
	}
	r, err := newReader(c, framesOfLists)
	if err != nil {
		return err
	}
	defer r.close()
	// Its own descriptor, as packing anew may join runs.
	one, err := openRun(c.runs[0].f.Name())
	if err != nil {
		return fmt.Errorf("cannot read index: %w", err)
	}
	defer one.f.Close()
	one.global = slices.Clone(c.runs[0].global)
	s := &sweeper{catalog: c, run: one, weakly: map[uint32]bool{}}
	s.needed = make([]uint64, s.run.n/64+1)
	for _, rec := range list {
		err := rec.Problem
		if err == nil {
			err = s.mark(ctx, r, &rec)
		}
		if err != nil {
			return fmt.Errorf("backup %s: %w", rec.Name, err)
		}
	}
	var useless, sparse []uint32
	for n, st := range c.states {
		live, total := int64(0), int64(1)
		switch st {
		case missing:
			continue
		case broken:
			if s.weakly[uint32(n)] {
				live = total
			}
		case good:
			if live, total, err = s.count(uint32(n)); err != nil {
				return err
			}
		}
		if live == 0 {
			useless = append(useless, uint32(n))
		} else if live < total/2 {
			sparse = append(sparse, uint32(n))
		}
	}
	if err := c.remove(useless); err != nil {
		return err
	}
	if err := s.repack(ctx, sparse); err != nil {
		return err
	}
	if err := c.remove(sparse); err != nil {
		return err
	}
	if err := a.dropMarks(); err != nil {
		return err
	}
	if len(useless)+len(sparse) == 0 {
		return nil
	}
	return c.flush(true)
}

// number returns the number of a chunk's entry in the run, and where it stands.
func (s *sweeper) number(id digest) (int, spot, error) {
	n, at, err := s.run.find(id, &s.block)
	if err != nil {
		return n, at, fmt.Errorf("cannot read index: %w", err)
	}
	if n >= 0 && s.states[at.pack] != good {
		n = -1
	}
	return n, at, nil
}

// need notes a chunk and says whether that is news.
func (s *sweeper) need(x ref) (bool, error) {
	n, _, err := s.number(x.id)
	if err != nil {
		return false, err
	}
	if n < 0 {
		at, err := s.find(x.id)
		s.weakly[at.pack] = true
		return true, err
	}
	old := s.needed[n/64]
	s.needed[n/64] |= 1 << (n % 64)
	return old != s.needed[n/64], nil
}

// mark notes all that a backup needs. Lists that another backup has too are not read again.
func (s *sweeper) mark(ctx context.Context, r *reader, rec *Record) error {
	lists := func(refs []ref) error {
		for _, x := range refs {
			news, err := s.need(x)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if !news {
				continue
			}
			b, err := r.chunk(x)
			if err != nil {
				return err
			}
			list, err := parseList(b)
			if err != nil {
				return err
			}
			for _, x := range list {
				if x.hole() {
					continue
				}
				if _, err := s.need(x.ref); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, f := range rec.Files {
		if err := lists(f.Extents); err != nil {
			return err
		}
	}
	for _, t := range rec.Trees {
		for _, x := range t.Entries {
			if _, err := s.need(x); err != nil {
				return err
			}
		}
		if err := lists(t.Extents); err != nil {
			return err
		}
	}
	return nil
}

// needs says whether a chunk of a pack is needed from there.
func (s *sweeper) needs(pack uint32, k packed) (bool, error) {
	n, at, err := s.number(k.id)
	return err == nil && n >= 0 && at == spot{pack, k.frame, k.off} && s.needed[n/64]&(1<<(n%64)) != 0, err
}

// count adds up the chunks of a pack, in bytes.
func (s *sweeper) count(pack uint32) (live, total int64, err error) {
	chunks, _, err := openPack(packPath(s.dir, s.packs[pack].name))
	if err != nil {
		return 0, 0, err
	}
	for _, k := range chunks {
		ok, err := s.needs(pack, k)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			live += int64(k.size)
		}
		total += int64(k.size)
	}
	return live, total, nil
}

// repack stores anew what is needed of some packs; when it returns nil they may go.
func (s *sweeper) repack(ctx context.Context, packs []uint32) error {
	if len(packs) == 0 {
		return nil
	}
	for _, n := range packs {
		s.states[n] = retired
	}
	p, err := newPacker(ctx, s.catalog)
	if err != nil {
		return err
	}
	u, err := newUnpacker()
	if err == nil {
		defer u.zstd.Close()
		for _, n := range packs {
			if err = s.move(&u, p, n); err != nil {
				break
			}
		}
	}
	if err != nil {
		p.abort(err)
		return err
	}
	return p.finish()
}

// move stores what is needed of a pack.
func (s *sweeper) move(u *unpacker, p *packer, pack uint32) error {
	if err := point("archive/repack"); err != nil {
		return err
	}
	name := s.packs[pack].name
	f, err := os.Open(packPath(s.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	chunks, err := readContents(f, s.packs[pack].size)
	if err != nil {
		return err
	}
	var raw []byte
	at := uint32(0)
	for _, k := range chunks {
		s.mu.Lock()
		n, where, err := s.run.find(k.id, &s.block)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if n < 0 || where != (spot{pack, k.frame, k.off}) || s.needed[n/64]&(1<<(n%64)) == 0 {
			continue
		}
		if at != k.frame {
			at = k.frame
			if raw, err = u.readFrame(f, at, raw); err != nil {
				raw = nil
			}
		}
		if end := k.off + k.size; int(end) > len(raw) || sha256.Sum256(raw[k.off:end]) != k.id {
			if err := s.catalog.mark(pack); err != nil {
				return err
			}
			return damaged("pack %s does not hold what was written", name)
		}
		if err := p.keep(k.ref, raw[k.off:k.off+k.size]); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes packs.
func (c *catalog) remove(packs []uint32) error {
	for _, n := range packs {
		if err := point("archive/delete-pack"); err != nil {
			return err
		}
		if err := os.Remove(packPath(c.dir, c.packs[n].name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		c.states[n] = missing
	}
	if len(packs) == 0 {
		return nil
	}
	return durable.SyncDir(filepath.Join(c.dir, packsDir))
}

// dropMarks removes notes on packs and backups that are not there.
func (a *Archive) dropMarks() error {
	for from, to := range map[string]string{damagedDir: packsDir, verifiedDir: recordsDir} {
		names, err := os.ReadDir(a.path(from))
		if err != nil {
			return err
		}
		for _, d := range names {
			if strings.HasPrefix(d.Name(), durable.TempPrefix) {
				continue
			}
			if _, err := os.Stat(a.path(to, d.Name())); !errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err := os.Remove(a.path(from, d.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
