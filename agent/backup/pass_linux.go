package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"dhow/agent/backup/tree"
	"dhow/bundle/durable"
)

// checkpointEvery is how many copied bytes an interruption of the first pass may cost at most.
const checkpointEvery = 1 << 30

// CopyAhead is the first pass of a snapshot into dir, while users work; it may be repeated, and the next pass copies only what
// changed since. Files that change or vanish meanwhile are no error. A finished snapshot in dir is given up. Interrupted, it
// keeps what it has for the next time.
func CopyAhead(ctx context.Context, dir string, trees []Tree, p Progress) error {
	_, err := runPass(ctx, dir, trees, p, true)
	return err
}

// runPass brings the copies in dir up to date. The live pass ends with the indexes on disk, the last one with passes whose
// indexes the caller writes after verification.
func runPass(ctx context.Context, dir string, trees []Tree, p Progress, live bool) (ps []*pass, err error) {
	if err := checkTrees(trees); err != nil {
		return nil, err
	}
	for _, sub := range []string{indexDir, treesDir, DumpsDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("cannot begin snapshot: %w", err)
		}
	}
	m := &meter{tell: p}
	defer func() {
		if err != nil || live {
			closeAll(ps)
		}
	}()
	for _, t := range trees {
		one, err := newPass(ctx, dir, t, m, live)
		if one != nil {
			ps = append(ps, one)
		}
		if err != nil {
			return ps, one.failed("read", t, err)
		}
		m.total += contentSize(one.entries)
	}
	m.total *= 2 // all is read back
	if err := begin(dir, trees); err != nil {
		return ps, fmt.Errorf("cannot begin snapshot: %w", err)
	}
	m.add(0)
	for _, one := range ps {
		if err := one.copyAll(); err != nil {
			return ps, one.failed("copy", one.tree, err)
		}
	}
	return ps, nil
}

// begin takes the snapshot's mark of completeness away, and then removes what belongs to no tree.
func begin(dir string, trees []Tree) error {
	err := os.Remove(filepath.Join(dir, recordName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	if err := durable.Clean(dir); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, t := range trees {
		keep[filepath.Join(treesDir, t.Name)] = true
		keep[indexPath("", t.Name)] = true
	}
	for _, sub := range []string{indexDir, treesDir} {
		names, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return err
		}
		for _, n := range names {
			name := filepath.Join(sub, n.Name())
			if keep[name] {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass is one tree in one pass.
type pass struct {
	*copier
	mirror   tree.Mirror
	from, to *tree.Root
	tree     Tree
	live     bool
	index    string // path of the index
	entries  []*tree.Entry
	old      map[tree.Name]*tree.Entry // the index of the pass before
	done     map[tree.Name]bool        // files that this pass has settled
	doubt    map[tree.Name]doubts      // files whose copies, or blocks of them, have to be read back
	wrong    map[tree.Name]bool        // files whose copies are of no use
	unsaved  int64                     // bytes copied since the index was written
}

func newPass(ctx context.Context, dir string, t Tree, m *meter, live bool) (*pass, error) {
	p := &pass{
		tree: t, live: live, index: indexPath(dir, t.Name),
		old: map[tree.Name]*tree.Entry{}, done: map[tree.Name]bool{}, doubt: map[tree.Name]doubts{},
	}
	from, err := tree.OpenRoot(t.Path)
	if err != nil {
		return nil, err
	}
	copies := filepath.Join(dir, treesDir, t.Name)
	err = os.MkdirAll(copies, 0o700)
	var to *tree.Root
	if err == nil {
		to, err = tree.OpenRoot(copies)
	}
	if err != nil {
		from.Close()
		return nil, err
	}
	p.copier, p.from, p.to = newCopier(ctx, m), from, to
	p.mirror = tree.Mirror{To: to, Keep: p.keepCopy, Fetch: p.fetchFile, After: p.fetched}
	if old, _, err := loadIndex(p.index); err == nil { // one that cannot be read proves nothing: all is copied
		for _, e := range old {
			p.old[e.Path] = e
		}
	}
	p.entries, err = tree.Scan(ctx, from, live, time.Now())
	return p, err
}

// copyAll copies what changed. The live pass also reads it back, so that the last one need not, and writes the index.
func (p *pass) copyAll() error {
	scanned := p.entries
	made, err := p.mirror.Run(p.ctx, scanned)
	if !p.live {
		if err != nil {
			return err
		}
		return p.unchanged()
	}
	if err == nil {
		p.entries = made
		_, err = p.readBack() // what is wrong stays in doubt
	}
	if err != nil {
		_ = p.save(scanned) // saves work for the next time, no data: the first error counts
		return err
	}
	_, err = writeIndex(p.index, bootID(), made)
	return err
}

// save writes the index of an unfinished first pass: what it has copied, and what is left from the pass before.
func (p *pass) save(scanned []*tree.Entry) error {
	var list []*tree.Entry
	for _, e := range scanned {
		switch old := p.old[e.Path]; {
		case e.Kind != tree.File || p.done[e.Path] && e.Hard == "":
			list = append(list, e)
		case e.Hard == "" && old != nil && old.Kind == tree.File && old.Hard == "":
			list = append(list, old)
		}
	}
	if err := p.to.Flush(); err != nil {
		return err
	}
	_, err := writeIndex(p.index, bootID(), list)
	return err
}

// unchanged looks at the whole tree again: if nothing wrote, it is as it was when the pass began.
func (p *pass) unchanged() error {
	p.from.Forget()
	again, err := tree.Scan(p.ctx, p.from, false, time.Now())
	if err != nil {
		return err
	}
	for i := range max(len(again), len(p.entries)) {
		if i >= len(again) || i >= len(p.entries) || again[i].Path != p.entries[i].Path {
			return fmt.Errorf("%w: files came or went", ErrChanged)
		}
		if !again[i].Same(p.entries[i]) {
			return fmt.Errorf("%w: %s", ErrChanged, again[i].Path)
		}
	}
	return nil
}

func (p *pass) failed(what string, t Tree, err error) error {
	return fmt.Errorf("cannot %s volume %s: %w", what, t.Name, err)
}

func closeAll(ps []*pass) {
	for _, p := range ps {
		p.from.Close()
		p.to.Close()
	}
}

func indexPath(dir, tree string) string { return filepath.Join(dir, indexDir, tree+".jsonl") }

func contentSize(entries []*tree.Entry) (sum int64) {
	for _, e := range entries {
		if e.Kind == tree.File && e.Hard == "" {
			sum += e.Size
		}
	}
	return sum
}
