package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"dhow/agent/backup/tree"
	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// Restore makes each of trees equal to what the finished snapshot in dir holds under its name, and returns when that is on
// disk and read back. Files that are provably those of the snapshot stay; everything else is copied or removed. Folders that are
// missing are made. Nothing may use the trees meanwhile. Before it touches anything it checks that the snapshot is complete, its
// indexes are right and all files are there in their size; contents are checked while they are copied (ErrDamaged; see Verify).
// It may be interrupted anywhere and is then run again.
func Restore(ctx context.Context, dir string, trees []Tree, p Progress) error {
	if err := checkTrees(trees); err != nil {
		return err
	}
	s, err := Read(dir)
	if err != nil {
		return err
	}
	m := &meter{tell: p}
	rs := make([]*restorer, 0, len(trees))
	defer func() {
		for _, r := range rs {
			r.from.Close()
		}
	}()
	for _, t := range trees {
		r, err := newRestorer(ctx, dir, s, t, m)
		if err != nil {
			return fmt.Errorf("cannot restore volume %s: %w", t.Name, err)
		}
		rs = append(rs, r)
		m.total += contentSize(r.entries)
	}
	m.add(0)
	for _, r := range rs {
		if err := r.restore(); err != nil {
			return fmt.Errorf("cannot restore volume %s: %w", r.tree.Name, err)
		}
	}
	return nil
}

// restorer puts one tree back.
type restorer struct {
	*copier
	mirror   tree.Mirror
	from, to *tree.Root
	tree     Tree
	entries  []*tree.Entry
	written  []*tree.Entry        // files that were copied
	doubt    map[tree.Name]doubts // of large ones, the blocks that were written
}

func newRestorer(ctx context.Context, dir string, s *Snapshot, t Tree, m *meter) (*restorer, error) {
	var info *TreeInfo
	for i := range s.Trees {
		if s.Trees[i].Name == t.Name {
			info = &s.Trees[i]
		}
	}
	if info == nil {
		return nil, fmt.Errorf("the snapshot of %s does not hold it", s.Made.Format("2006-01-02 15:04"))
	}
	entries, err := trustedIndex(dir, *info)
	if err != nil {
		return nil, err
	}
	from, err := tree.OpenRoot(filepath.Join(dir, treesDir, t.Name))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r := &restorer{tree: t, entries: entries, doubt: map[tree.Name]doubts{}}
	r.copier, r.from = newCopier(ctx, m), from
	r.mirror = tree.Mirror{Strict: true, Keep: r.keepFile, Fetch: r.fetchFile, After: r.fetched}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			from.Close()
			return nil, err
		}
		if err := present(from, e); err != nil {
			from.Close()
			return nil, err
		}
	}
	return r, nil
}

func (r *restorer) restore() error {
	if err := durable.MkdirAll(r.tree.Path, 0o700); err != nil {
		return err
	}
	var err error
	if r.to, err = tree.OpenRoot(r.tree.Path); err != nil {
		return err
	}
	defer r.to.Close()
	r.mirror.To = r.to
	r.mirror.Pruned = func() error { return fault.Point("backup/restore-clean") }
	if _, err := r.mirror.Run(r.ctx, r.entries); err != nil {
		return err
	}
	if err := r.to.Flush(); err != nil {
		return err
	}
	if err := r.readBack(); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(r.tree.Path)))
}

// keepFile leaves a file whose metadata proves that nothing touched it since the snapshot, and one that has the right content
// already, as after an interrupted restore or a new start of the system; of that one only the metadata is set. A file with several names is always copied:
// they may be the wrong ones.
func (r *restorer) keepFile(e *tree.Entry) (bool, error) {
	have, names, err := r.to.Stat(e.Path)
	if err != nil {
		if tree.Vanished(err) {
			return false, nil
		}
		return false, err
	}
	if have.Kind != tree.File {
		return false, nil
	}
	if !e.Fresh && have.Same(e) {
		r.meter.add(e.Size)
		return true, nil
	}
	if names != 1 || have.Size != e.Size || have.Mtime != e.Mtime {
		return false, nil
	}
	if len(e.Blocks) > 0 { // of a large file only the blocks that differ are fetched
		return false, nil
	}
	sum, _, err := r.quiet().hashFile(r.to, e.Path, false, true)
	if err != nil || sum != e.SHA256 {
		return false, err
	}
	r.meter.add(e.Size)
	return true, r.to.Apply(e, true)
}

func (r *restorer) fetchFile(e *tree.Entry) (bool, error) {
	if len(e.Blocks) > 0 {
		return true, r.fetchBlocks(e)
	}
	sum, _, err := r.content(r.from, r.to, e, func(*tree.Entry) (bool, error) { return true, nil })
	if err == nil && sum != e.SHA256 {
		err = fmt.Errorf("%w: %s has another content than was copied", ErrDamaged, e.Path)
	}
	return err == nil, err
}

// fetchBlocks puts a large file back. One that is there keeps the blocks that are right.
func (r *restorer) fetchBlocks(e *tree.Entry) error {
	in, err := r.from.Open(e.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	have, names, err := r.to.Stat(e.Path)
	fresh := err != nil || have.Kind != tree.File || names != 1
	open := r.to.Change
	if fresh {
		open = r.to.Create
	}
	out, err := open(e.Path)
	if err != nil {
		return err
	}
	if !fresh {
		forgetCached(out, 0, 0) // the disk may not have kept what memory shows
	}
	doubt, err := r.mend(out, in, e.Size, e.Blocks, fresh)
	if errors.Is(err, errOther) {
		err = fmt.Errorf("%w: %s has another content than was copied", ErrDamaged, e.Path)
	}
	r.doubt[e.Path] = doubt
	return errors.Join(err, out.Close())
}

func (r *restorer) fetched(e *tree.Entry) error {
	r.written = append(r.written, e)
	return fault.Point("backup/restore")
}

// readBack looks whether the disk kept what was written: older kernels do not say when it did not.
func (r *restorer) readBack() error {
	for _, e := range r.written {
		err := r.quiet().same(r.to, e, r.doubt[e.Path])
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err != nil {
			return fmt.Errorf("the disk did not keep what was written: %s", e.Path)
		}
	}
	return nil
}
