package archive

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"dhow/agent/backup/tree"
)

// treeWriter stores one tree.
type treeWriter struct {
	*writer
	info    TreeInfo
	root    *tree.Root
	entries []*tree.Entry
	past    *past
	list    listWriter
	moved   map[tree.Name]tree.Name // first names that vanished: where their content stands now
}

func (w *writer) openTree(t Tree) (*treeWriter, error) {
	root, err := tree.OpenRoot(t.Path)
	if err != nil {
		return nil, err
	}
	one := &treeWriter{
		writer: w, info: TreeInfo{Name: t.Name}, root: root, list: listWriter{put: w.p.put}, moved: map[tree.Name]tree.Name{},
	}
	if one.entries, err = tree.Scan(w.ctx, root, true, time.Now()); err != nil {
		root.Close()
		return nil, err
	}
	return one, nil
}

func (t *treeWriter) write() error {
	var err error
	t.info.Entries, err = t.stream(func(out io.Writer) error {
		enc := json.NewEncoder(out)
		if err := enc.Encode(listHeader{tree.Format, tree.Boot()}); err != nil {
			return err
		}
		for _, e := range t.entries {
			ok, err := t.entry(e)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			t.info.Files++
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = t.list.flush()
	t.info.Extents = t.list.refs
	return err
}

// listHeader is the first line of a tree's entries, as in package tree.
type listHeader struct {
	Format int    `json:"format"`
	Boot   string `json:"boot,omitempty"`
}

// entry stores the content of a file; false leaves it out.
func (t *treeWriter) entry(e *tree.Entry) (bool, error) {
	if e.Kind != tree.File {
		return true, t.ctx.Err()
	}
	first := e.Hard
	if first != "" {
		now, gone := t.moved[first]
		if !gone {
			return true, nil
		}
		if e.Hard = now; now != "" {
			return true, nil
		}
	}
	ok, err := t.takeOver(e)
	if err == nil && !ok {
		ok, err = t.read(e)
	}
	if err != nil {
		return false, err
	}
	switch {
	case ok && first != "":
		t.moved[first] = e.Path
	case !ok && first == "":
		t.moved[e.Path] = ""
	}
	return ok, nil
}

// read stores a file as it is now, and fills in what it was like.
func (t *treeWriter) read(e *tree.Entry) (bool, error) {
	begin, counted := t.list.mark(), t.info.Bytes
	undo := func() {
		t.list.back(begin)
		t.info.Bytes = counted
	}
	for last := range 2 {
		f, err := t.root.Open(e.Path)
		if err != nil {
			if tree.Vanished(err) {
				undo()
				return false, nil
			}
			return false, err
		}
		steady, err := t.once(f, e)
		_ = f.Close()
		switch {
		case errors.Is(err, errOther):
			undo()
			return false, nil
		case err != nil:
			return false, err
		case steady:
			return true, nil
		case last == 0:
			undo()
		}
	}
	e.Fresh = true // proves nothing next time
	if len(t.info.Unsteady) < maxUnsteady {
		t.info.Unsteady = append(t.info.Unsteady, string(e.Path))
	}
	return true, nil
}

// errOther means that something else than a file has the name by now.
var errOther = errors.New("not a file any more")

// once reads a file from end to end and says whether it stayed the same meanwhile.
func (t *treeWriter) once(f *os.File, e *tree.Entry) (bool, error) {
	if err := point("archive/read-begin"); err != nil {
		return false, err
	}
	now, err := tree.Look(f)
	if err != nil || now == nil || now.Kind != tree.File {
		return false, errors.Join(err, errOther)
	}
	if !now.Same(e) { // changed since the tree was listed
		e.Size, e.Mtime, e.Ctime, e.Inode, e.Mode, e.UID, e.GID = now.Size, now.Mtime, now.Ctime, now.Inode, now.Mode, now.UID, now.GID
		e.Fresh = true
	}
	size, sum, err := t.content(f, now.Size)
	if err != nil {
		return false, fmt.Errorf("cannot read %s: %w", e.Path, err)
	}
	e.Size, e.SHA256 = size, sum
	if err := point("archive/read-end"); err != nil {
		return false, err
	}
	again, err := tree.Look(f)
	if err != nil {
		return false, err
	}
	return again.Same(e), nil
}

// content stores the first size bytes of a file, or what there is of them, and returns how many and the SHA-256 of their extents.
func (t *treeWriter) content(f *os.File, size int64) (int64, string, error) {
	sum := sha256.New()
	add := func(x extent) error {
		sum.Write(x.record())
		return t.list.add(x)
	}
	put := func(data []byte) error {
		x, err := t.p.put(data)
		if err != nil {
			return err
		}
		t.info.Bytes += int64(len(data))
		t.meter.add(int64(len(data)))
		return add(extent{x})
	}
	paged := size%pageSize == 0
	at := int64(0)
	for at < size {
		data, hole := tree.Segment(f, at, size)
		t.meter.add(data - at)
		for ; at < data; at += min(data-at, maxHole) {
			if err := add(extent{ref{size: uint32(min(data-at, maxHole))}}); err != nil {
				return 0, "", err
			}
		}
		end, err := t.segment(f, data, hole, paged, put)
		if err != nil {
			return 0, "", err
		}
		if at = end; end < hole { // cut short while we read
			size = end
		}
	}
	return size, digest(sum.Sum(nil)).String(), nil
}

// segment stores a stretch of data and returns its end, which is earlier than hole when the file ends there.
func (t *treeWriter) segment(f *os.File, at, hole int64, paged bool, put func([]byte) error) (int64, error) {
	have := 0
	for at < hole {
		if err := t.ctx.Err(); err != nil {
			return at, err
		}
		n, err := f.ReadAt(t.buf[have:min(int64(len(t.buf)), hole-at)], at+int64(have))
		if have += n; have == 0 && err == io.EOF {
			return at, nil
		}
		if err != nil && err != io.EOF {
			return at, err
		}
		ends := err == io.EOF || at+int64(have) == hole
		b := t.buf[:have]
		for len(b) > 0 && (ends || len(b) >= maxChunk) {
			k := min(len(b), int(blockSize-at%blockSize))
			if !paged {
				k = cut(b)
			}
			if err := put(b[:k]); err != nil {
				return at, err
			}
			at, b = at+int64(k), b[k:]
		}
		have = copy(t.buf, b)
		if err == io.EOF {
			return at, nil
		}
	}
	return at, nil
}

func contentSize(entries []*tree.Entry) (sum int64) {
	for _, e := range entries {
		if hasContent(e) {
			sum += e.Size
		}
	}
	return sum
}
