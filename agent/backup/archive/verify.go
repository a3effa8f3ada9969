package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"dhow/agent/backup/tree"
)

// Verify reads every byte of a backup from the disk: ErrDamaged naming the first file that is not right, or nil. Damaged packs are
// marked, so that the next Create stores their chunks anew. It does not note its success; see MarkVerified.
func (a *Archive) Verify(ctx context.Context, name string, p Progress) error {
	if err := a.verify(ctx, name, p); err != nil {
		return fmt.Errorf("cannot verify backup %s: %w", name, err)
	}
	return nil
}

func (a *Archive) verify(ctx context.Context, name string, p Progress) error {
	rec, r, end, err := a.reading(name)
	if err != nil {
		return err
	}
	defer end()
	r.disk = true
	m := &meter{tell: p, total: rec.Bytes}
	m.add(0)
	var first error
	note := func(what string, err error) error {
		if first == nil && err != nil {
			first = fmt.Errorf("%s: %w", what, err)
		}
		if errors.Is(err, ErrDamaged) {
			return nil // goes on, so that all that is damaged is marked
		}
		return err
	}
	for _, f := range rec.Files {
		sum := sha256.New()
		err := r.verify(ctx, &extents{r: r, refs: f.Extents}, f.Bytes, func(x extent, data []byte) {
			sum.Write(data)
			m.add(int64(len(data)))
		})
		if err == nil && digest(sum.Sum(nil)).String() != f.SHA256 {
			err = damaged("it has another checksum")
		}
		if note(f.Name, err) != nil {
			return first
		}
	}
	for _, t := range rec.Trees {
		entries, err := t.read(r)
		if note("volume "+t.Name, err) != nil {
			return first
		}
		list := &extents{r: r, refs: t.Extents}
		for _, e := range entries {
			if !hasContent(e) {
				continue
			}
			sum := sha256.New()
			err := r.verify(ctx, list, e.Size, func(x extent, data []byte) {
				sum.Write(x.record())
				m.add(int64(len(data)))
			})
			if err == nil {
				err = isSum(e, sum)
			}
			if note("volume "+t.Name+": "+string(e.Path), err) != nil {
				return first
			}
		}
		if err == nil {
			_ = note("volume "+t.Name, list.end())
		}
	}
	return first
}

// verify reads the chunks of a file. When one is damaged it goes on through the rest of them, and leaves the list behind the file.
func (r *reader) verify(ctx context.Context, list *extents, size int64, use func(extent, []byte)) error {
	begin := *list
	first := r.pieces(ctx, list, size, func(_ int64, x extent, data []byte) error {
		use(x, data)
		return nil
	})
	if !errors.Is(first, ErrDamaged) {
		return first
	}
	*list = begin
	err := list.skip(size, func(x extent) error {
		if err := ctx.Err(); err != nil || x.hole() {
			return err
		}
		if _, err := r.chunk(x.ref); err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	return first
}

// isSum compares the sum of a file's extents with what its entry says.
func isSum(e *tree.Entry, sum hash.Hash) error {
	if digest(sum.Sum(nil)).String() != e.SHA256 {
		return damaged("it is made of other chunks than was written")
	}
	return nil
}

// hasContent says whether a list of extents has a part for e.
func hasContent(e *tree.Entry) bool { return e.Kind == tree.File && e.Hard == "" }

// read reads the entries of a tree, and checks them.
func (t *TreeInfo) read(r *reader) ([]*tree.Entry, error) {
	from := &bytesFrom{r: r, refs: t.Entries}
	boot, all, err := tree.ReadIndex(from)
	if from.err != nil {
		return nil, from.err
	}
	if errors.Is(err, tree.ErrIndex) {
		err = damaged("%v", err)
	}
	if err != nil {
		return nil, err
	}
	tree.Doubt(all, boot, tree.Boot())
	return all, nil
}

// reading opens a backup for reading; end must be called.
func (a *Archive) reading(name string) (rec *Record, r *reader, end func(), err error) {
	c, free, err := a.begin(false)
	if err != nil {
		return nil, nil, nil, err
	}
	if rec, err = a.read(name); err == nil {
		r, err = newReader(c, framesOfFiles)
	}
	if err != nil {
		free()
		return nil, nil, nil, err
	}
	return rec, r, func() {
		r.close()
		free()
	}, nil
}

// complete checks that all chunks of a backup are there, without reading their content; see is called for every chunk, lists included.
func complete(ctx context.Context, r *reader, rec *Record, see func(ref) error) error {
	for _, f := range rec.Files {
		if err := whole(ctx, r, f.Extents, see); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for _, t := range rec.Trees {
		for _, x := range t.Entries {
			if err := see(x); err != nil {
				return fmt.Errorf("volume %s: %w", t.Name, err)
			}
		}
		if err := wholeTree(ctx, r, &t, see); err != nil {
			return fmt.Errorf("volume %s: %w", t.Name, err)
		}
	}
	return nil
}

func wholeTree(ctx context.Context, r *reader, t *TreeInfo, see func(ref) error) error {
	err := whole(ctx, r, t.Extents, see)
	if err == nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	// Which file is it?
	entries, lerr := t.read(r)
	if lerr != nil {
		return lerr
	}
	list := &extents{r: r, refs: t.Extents}
	for _, e := range entries {
		if !hasContent(e) {
			continue
		}
		err := list.skip(e.Size, func(x extent) error {
			if x.hole() {
				return nil
			}
			return see(x.ref)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return err
}

func whole(ctx context.Context, r *reader, refs []ref, see func(ref) error) error {
	for _, x := range refs {
		if err := errors.Join(ctx.Err(), see(x)); err != nil {
			return err
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
			if err := see(x.ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// OpenFile opens a stream of a backup. What is read was checked; damage is an error in place of bytes. Close it soon: until then
// the archive refuses changes.
func (a *Archive) OpenFile(ctx context.Context, name, file string) (io.ReadCloser, error) {
	failed := func(err error) error { return fmt.Errorf("cannot read %s of backup %s: %w", file, name, err) }
	rec, r, end, err := a.reading(name)
	if err != nil {
		return nil, failed(err)
	}
	for _, f := range rec.Files {
		if f.Name == file {
			return &stream{ctx: ctx, r: r, list: &extents{r: r, refs: f.Extents}, left: f.Bytes, end: end, failed: failed}, nil
		}
	}
	end()
	return nil, failed(errors.New("the backup has no such file"))
}

// stream reads a file of a backup.
type stream struct {
	ctx    context.Context
	r      *reader
	list   *extents
	left   int64
	rest   []byte
	end    func()
	failed func(error) error
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	for len(s.rest) == 0 {
		if s.left == 0 {
			return 0, io.EOF
		}
		x, err := s.list.next(s.left)
		if err == nil && x.hole() {
			err = damaged("a stream has a hole")
		}
		if err != nil {
			return 0, s.failed(err)
		}
		data, err := s.r.chunk(x.ref)
		if err != nil {
			return 0, s.failed(err)
		}
		s.left -= int64(x.size)
		s.rest = append(s.rest[:0], data...)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Close() error {
	if s.end != nil {
		s.end()
		s.end = nil
	}
	return nil
}
