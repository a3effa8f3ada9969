package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
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

var errDiffers = errors.New("it has another content")

func equal(ctx context.Context, f *os.File, size int64, list *extents, buf []byte) error {
	forget(f)
	at := int64(0)
	err := list.skip(size, func(x extent) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := at + int64(x.size)
		if x.hole() { // zeros that take room are zeros too
			for at < end {
				data, hole := tree.Segment(f, at, end)
				if err := zeros(f, data, hole, buf); err != nil {
					return err
				}
				at = hole
			}
			return nil
		}
		b := buf[:x.size]
		if _, err := f.ReadAt(b, at); err == io.EOF {
			return errDiffers
		} else if err != nil {
			return err
		}
		at = end
		if sha256.Sum256(b) != x.id {
			return errDiffers
		}
		return nil
	})
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && st.Size() != size {
		err = errDiffers
	}
	return err
}

func zeros(f *os.File, at, end int64, buf []byte) error {
	for at < end {
		n, err := f.ReadAt(buf[:min(end-at, int64(len(buf)))], at)
		for _, b := range buf[:n] {
			if b != 0 {
				return errDiffers
			}
		}
		if at += int64(n); err == io.EOF && at < end {
			return errDiffers
		} else if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
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

// job is a long file that was written, and where its extents begin.
type job struct {
	f    *os.File
	e    *tree.Entry
	list extents
}

// readingBack syncs long files and compares what the disk has of them, in a goroutine.
type readingBack struct {
	jobs chan job
	done chan error
	r    *reader
	over bool
}

func newReadingBack(ctx context.Context, c *catalog) (*readingBack, error) {
	r, err := newReader(c, framesOfLists)
	if err != nil {
		return nil, err
	}
	b := &readingBack{jobs: make(chan job, 1), done: make(chan error, 1), r: r}
	go func() {
		var first error
		buf := make([]byte, maxChunk)
		for j := range b.jobs {
			if first == nil {
				j.list.r = r
				if first = j.f.Sync(); first == nil {
					first = equal(ctx, j.f, j.e.Size, &j.list, buf)
				}
				if errors.Is(first, errDiffers) {
					first = notKept(j.e)
				}
			}
			_ = j.f.Close()
		}
		b.done <- first
	}()
	return b, nil
}

// end waits for what was given and returns the first error, once.
func (b *readingBack) end() error {
	if b.over {
		return nil
	}
	b.over = true
	close(b.jobs)
	err := <-b.done
	b.r.close()
	return err
}

func notKept(e *tree.Entry) error {
	return fmt.Errorf("the disk did not keep what was written: %s", e.Path)
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
