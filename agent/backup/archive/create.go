package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

const (
	maxUnsteady = 100
	readSize    = 1 << 20
)

// Create makes a backup of c's trees and files, all or nothing: the record is put in place when every new byte is on disk and was
// read back from there. Trees may be in use: a file that changes while it is read is read again, and kept as it was last read when it
// changes again (see TreeInfo.Unsteady); one that vanishes is left out. A file that is provably the one of the newest backup of a
// tree of that name is not read. Interrupted or failed, it leaves no backup; a later Create uses or removes what it stored.
func (a *Archive) Create(ctx context.Context, c Contents, p Progress) (*Record, error) {
	r, err := a.create(ctx, c, p)
	if err != nil {
		return nil, fmt.Errorf("cannot make backup %s: %w", c.Name, err)
	}
	return r, nil
}

func (a *Archive) create(ctx context.Context, c Contents, p Progress) (*Record, error) {
	rec := c.Record
	rec.Format, rec.Trees, rec.Files, rec.Bytes, rec.Stored, rec.Verified, rec.Problem = Format, nil, nil, 0, 0, nil, nil
	if err := checkContents(c); err != nil {
		return nil, err
	}
	cat, end, err := a.begin(true)
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := a.read(rec.Name); !errors.Is(err, ErrNotFound) {
		return nil, errors.New("there is one of that name already")
	}
	w := &writer{c: cat, ctx: ctx, meter: &meter{tell: p}, buf: make([]byte, readSize)}
	if w.r, err = newReader(cat, framesOfLists); err != nil {
		return nil, err
	}
	defer w.r.close()
	if w.p, err = newPacker(ctx, cat); err != nil {
		return nil, err
	}
	if err := w.all(a, c, &rec); err != nil {
		w.p.abort(err)
		return nil, err
	}
	if err := w.p.finish(); err != nil {
		return nil, err
	}
	rec.Stored = w.p.stored
	data, err := encodeRecord(&rec)
	if err != nil {
		return nil, err
	}
	if _, err := decodeRecord(rec.Name, data); err != nil { // what we would not read back is not written
		return nil, err
	}
	if err := a.putRecord(rec.Name, data); err != nil {
		return nil, err
	}
	return &rec, nil
}

func checkContents(c Contents) error {
	var files []string
	for _, f := range c.Files {
		files = append(files, f.Name)
	}
	return errors.Join(checkName("backup", c.Name), checkTrees(c.Trees), checkParts("file", files))
}

// writer puts the contents of one backup into the archive.
type writer struct {
	c     *catalog
	r     *reader
	p     *packer
	ctx   context.Context
	meter *meter
	buf   []byte
}

func (w *writer) all(a *Archive, c Contents, rec *Record) error {
	before, err := a.List()
	if err != nil {
		return err
	}
	var ts []*treeWriter
	defer func() {
		for _, t := range ts {
			t.root.Close()
		}
	}()
	for _, t := range c.Trees {
		one, err := w.openTree(t)
		if err != nil {
			return fmt.Errorf("cannot read volume %s: %w", t.Name, err)
		}
		ts = append(ts, one)
		w.meter.total += contentSize(one.entries)
	}
	w.meter.add(0)
	for _, f := range c.Files {
		info, err := w.file(f)
		if err != nil {
			return fmt.Errorf("cannot back up %s: %w", f.Name, err)
		}
		rec.Files = append(rec.Files, info)
		rec.Bytes += info.Bytes
	}
	for _, t := range ts {
		t.past = w.past(before, t.info.Name)
		if err := t.write(); err != nil {
			return fmt.Errorf("cannot back up volume %s: %w", t.info.Name, err)
		}
		rec.Trees = append(rec.Trees, t.info)
		rec.Bytes += t.info.Bytes
	}
	return nil
}

// content cuts a stream of bytes into chunks.
type content struct {
	put func(data []byte) error
	buf []byte
}

func (c *content) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if c.buf == nil {
			c.buf = make([]byte, 0, 2*maxChunk)
		}
		k := min(len(b), cap(c.buf)-len(c.buf))
		c.buf, b = append(c.buf, b[:k]...), b[k:]
		if len(c.buf) == cap(c.buf) {
			if err := c.drain(maxChunk); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// drain cuts until less than keep is left.
func (c *content) drain(keep int) error {
	rest := c.buf
	for len(rest) >= keep && len(rest) > 0 {
		k := cut(rest)
		if err := c.put(rest[:k]); err != nil {
			return err
		}
		rest = rest[k:]
	}
	c.buf = append(c.buf[:0], rest...)
	return nil
}

// stream stores what fill writes as chunks and returns their list.
func (w *writer) stream(fill func(io.Writer) error) (refs []ref, err error) {
	c := content{put: func(data []byte) error {
		x, err := w.p.put(data)
		refs = append(refs, x)
		return errors.Join(err, w.ctx.Err())
	}}
	if err := fill(&c); err != nil {
		return nil, err
	}
	return refs, c.drain(0)
}

func (w *writer) file(f File) (FileInfo, error) {
	info := FileInfo{Name: f.Name}
	list := listWriter{put: w.p.put}
	sum := sha256.New()
	c := content{put: func(data []byte) error {
		x, err := w.p.put(data)
		if err != nil {
			return err
		}
		info.Bytes += int64(len(data))
		w.meter.total += int64(len(data))
		w.meter.add(int64(len(data)))
		return errors.Join(list.add(extent{x}), w.ctx.Err())
	}}
	if err := f.Write(io.MultiWriter(sum, &c)); err != nil {
		return info, err
	}
	if err := errors.Join(c.drain(0), list.flush()); err != nil {
		return info, err
	}
	info.SHA256, info.Extents = digest(sum.Sum(nil)).String(), list.refs
	return info, nil
}
