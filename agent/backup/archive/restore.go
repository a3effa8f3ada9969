package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"dhow/agent/backup/tree"
	"dhow/bundle/durable"
)

// Restore makes each of trees equal to what a backup holds under its name, and returns when that is on disk and read back. Files
// that are provably those of the backup, or have its content, stay; everything else is written or removed. Folders that are missing
// are made. Nothing may use the trees meanwhile. Before it touches anything it checks that the whole backup is there; contents are
// checked before they are written. It may be interrupted anywhere and is then run again.
func (a *Archive) Restore(ctx context.Context, name string, trees []Tree, p Progress) error {
	if err := a.restore(ctx, name, trees, p); err != nil {
		return fmt.Errorf("cannot restore backup %s: %w", name, err)
	}
	return nil
}

func (a *Archive) restore(ctx context.Context, name string, trees []Tree, p Progress) error {
	if err := checkTrees(trees); err != nil {
		return err
	}
	rec, r, end, err := a.reading(name)
	if err != nil {
		return err
	}
	defer end()
	err = complete(ctx, r, rec, func(x ref) error {
		_, err := r.c.find(x.id)
		return err
	})
	if err != nil {
		return err
	}
	m := &meter{tell: p}
	var rs []*restorer
	for _, t := range trees {
		one, err := newRestorer(ctx, r, rec, t, m)
		if err != nil {
			return fmt.Errorf("volume %s: %w", t.Name, err)
		}
		rs = append(rs, one)
		m.total += contentSize(one.entries)
	}
	m.add(0)
	for _, one := range rs {
		if err := one.run(); err != nil {
			return fmt.Errorf("volume %s: %w", one.tree.Name, err)
		}
	}
	return nil
}

// restorer puts one tree back.
type restorer struct {
	*reader
	ctx     context.Context
	tree    Tree
	info    *TreeInfo
	meter   *meter
	to      *tree.Root
	list    *extents
	entries []*tree.Entry
	written map[*tree.Entry]bool // and still to be read back
	buf     []byte
	back    *readingBack
	long    *job // the file just written, when it is long
}

// longFile is read back while others are written, others when all is on disk.
const longFile = 4 << 20

func newRestorer(ctx context.Context, r *reader, rec *Record, t Tree, m *meter) (*restorer, error) {
	for i := range rec.Trees {
		if info := &rec.Trees[i]; info.Name == t.Name {
			entries, err := info.read(r)
			return &restorer{
				reader: r, ctx: ctx, tree: t, info: info, meter: m, entries: entries,
				written: map[*tree.Entry]bool{}, buf: make([]byte, maxChunk),
			}, err
		}
	}
	return nil, errors.New("the backup does not hold it")
}

func (r *restorer) run() (err error) {
	if err := durable.MkdirAll(r.tree.Path, 0o700); err != nil {
		return err
	}
	if r.to, err = tree.OpenRoot(r.tree.Path); err != nil {
		return err
	}
	defer r.to.Close()
	r.list = &extents{r: r.reader, refs: r.info.Extents}
	if r.back, err = newReadingBack(r.ctx, r.c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.back.end()) }()
	m := tree.Mirror{
		To: r.to, Strict: true, Keep: r.keep, Fetch: r.fetchFile,
		Pruned: func() error { return point("archive/restore-clean") },
		After: func(e *tree.Entry) error {
			if r.long != nil {
				r.back.jobs <- *r.long
				r.long = nil
			} else {
				r.written[e] = true
			}
			return point("archive/restore-file")
		},
	}
	if _, err := m.Run(r.ctx, r.entries); err != nil {
		return err
	}
	if err := r.back.end(); err != nil {
		return err
	}
	if err := point("archive/restore-flush"); err != nil {
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

// keep leaves a file whose metadata proves that nothing touched it since the backup, and one that has its content, as after an
// interrupted restore; of that one only the metadata is set. A file with several names is always written: they may be the wrong ones.
func (r *restorer) keep(e *tree.Entry) (bool, error) {
	have, names, err := r.to.Stat(e.Path)
	if err != nil {
		if tree.Vanished(err) {
			return false, nil
		}
		return false, err
	}
	if have.Kind != tree.File || have.Size != e.Size || have.Mtime != e.Mtime {
		return false, nil
	}
	if !e.Fresh && have.Same(e) {
		r.meter.add(e.Size)
		return true, r.list.skip(e.Size, func(extent) error { return nil })
	}
	if names != 1 {
		return false, nil
	}
	begin := *r.list
	if err := r.equal(e); err != nil {
		*r.list = begin
		if errors.Is(err, errDiffers) {
			return false, nil
		}
		return false, err
	}
	r.meter.add(e.Size)
	return true, r.to.Apply(e, true)
}

// equal compares what the disk has of a file with the list; errDiffers may leave the list anywhere.
func (r *restorer) equal(e *tree.Entry) error {
	f, err := r.to.Open(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return equal(r.ctx, f, e.Size, r.list, r.buf)
}

func (r *restorer) fetchFile(e *tree.Entry) (bool, error) {
	f, err := r.to.Create(e.Path)
	if err != nil {
		return false, err
	}
	handedOver := false
	defer func() {
		if !handedOver {
			_ = f.Close()
		}
	}()
	if err := f.Truncate(e.Size); err != nil {
		return false, err
	}
	begin := *r.list
	sum := sha256.New()
	started := int64(0)
	err = r.pieces(r.ctx, r.list, e.Size, func(at int64, x extent, data []byte) error {
		sum.Write(x.record())
		r.meter.add(int64(x.size))
		if x.hole() {
			return nil
		}
		if at-started >= longFile {
			writeSoon(f, started, at)
			started = at
		}
		_, err := f.WriteAt(data, at)
		return err
	})
	if err == nil {
		err = isSum(e, sum)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.Path, err)
	}
	if e.Size >= longFile {
		handedOver = true
		r.long = &job{f, e, begin}
		return true, nil
	}
	return true, f.Close()
}

// readBack looks whether the disk kept what was written: older kernels do not say when it did not.
func (r *restorer) readBack() error {
	r.list = &extents{r: r.reader, refs: r.info.Extents}
	for _, e := range r.entries {
		if !hasContent(e) {
			continue
		}
		if !r.written[e] {
			if err := r.list.skip(e.Size, func(extent) error { return nil }); err != nil {
				return err
			}
			continue
		}
		err := r.equal(e)
		if errors.Is(err, errDiffers) {
			err = notKept(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
