package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"dhow/agent/backup/tree"
)

// copier copies and hashes file contents with one buffer; see eachBlock for large ones.
type copier struct {
	ctx   context.Context
	meter *meter
	buf   []byte
	zero  []byte
}

func newCopier(ctx context.Context, m *meter) *copier {
	return &copier{ctx: ctx, meter: m, buf: make([]byte, bufferSize)}
}

// copy makes the new file out equal to the first size bytes of in, holes included, and returns their SHA-256. Where the file
// system can share blocks it does. A file that ends early leaves out with what was there.
func (c *copier) copy(out, in *os.File, size int64) (string, error) {
	if cloned(out, in, size) {
		return c.hash(out, size)
	}
	if err := out.Truncate(size); err != nil {
		return "", err
	}
	sum := sha256.New()
	for at := int64(0); at < size; {
		data, hole := tree.Segment(in, at, size)
		if err := c.zeros(sum, data-at); err != nil {
			return "", err
		}
		for at = data; at < hole; {
			n, err := c.read(in, at, hole)
			if err == io.EOF { // cut short while we read
				return hex.EncodeToString(sum.Sum(nil)), out.Truncate(at)
			}
			if err != nil {
				return "", err
			}
			sum.Write(c.buf[:n])
			if _, err := out.WriteAt(c.buf[:n], at); err != nil {
				return "", err
			}
			at += int64(n)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// cloned lets the new file out share the blocks of in, where the file system can.
func cloned(out, in *os.File, size int64) bool {
	if size == 0 || unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) != nil {
		return false
	}
	return out.Truncate(size) == nil
}

// hash returns the SHA-256 of the first size bytes of f.
func (c *copier) hash(f *os.File, size int64) (string, error) {
	sum := sha256.New()
	for at := int64(0); at < size; {
		n, err := c.read(f, at, size)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		sum.Write(c.buf[:n])
		at += int64(n)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// read fills the buffer from f, up to end, as one step of progress.
func (c *copier) read(f *os.File, at, end int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.ReadAt(c.buf[:min(int64(len(c.buf)), end-at)], at)
	if n > 0 {
		c.meter.add(int64(n))
		return n, nil
	}
	return 0, err
}

func (c *copier) zeros(sum hash.Hash, n int64) error {
	if n > 0 && c.zero == nil {
		c.zero = make([]byte, bufferSize)
	}
	for n > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		k := min(n, bufferSize)
		sum.Write(c.zero[:k])
		c.meter.add(k)
		n -= k
	}
	return nil
}

// quiet is c without progress, for work that is not counted.
func (c *copier) quiet() *copier { return &copier{ctx: c.ctx, meter: &meter{}, buf: c.buf} }

// hashFile returns the SHA-256 and size of a regular file (ErrDamaged when it is none), with byBlocks that of its blocks' digests. With
// disk set it is read as the disk has it: what the system holds in memory, if it is synced, is dropped first.
func (c *copier) hashFile(r *tree.Root, path tree.Name, byBlocks, disk bool) (string, int64, error) {
	f, err := r.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !st.Mode().IsRegular() {
		return "", 0, &os.PathError{Op: "read", Path: f.Name(), Err: ErrDamaged}
	}
	if disk {
		forgetCached(f, 0, 0)
	}
	if byBlocks {
		blocks, err := c.hashBlocks(f, st.Size())
		return blocksDigest(blocks), st.Size(), err
	}
	sum, err := c.hash(f, st.Size())
	return sum, st.Size(), err
}

// forgetCached drops what the system holds of a part of a file in memory, length 0 for all after at. It is advice only.
func forgetCached(f *os.File, at, length int64) {
	_ = unix.Fadvise(int(f.Fd()), at, length, unix.FADV_DONTNEED)
}

// content copies e's file from one root to another and returns its checksum. look is called with what the open source is before
// and after; false leaves the file out.
func (c *copier) content(from, to *tree.Root, e *tree.Entry, look func(now *tree.Entry) (bool, error)) (string, bool, error) {
	in, err := from.Open(e.Path)
	if err != nil {
		return "", false, err
	}
	defer in.Close()
	var now *tree.Entry
	check := func() (bool, error) {
		if now, err = tree.Look(in); err != nil || now.Kind != tree.File {
			return false, err
		}
		return look(now)
	}
	if ok, err := check(); err != nil || !ok {
		return "", false, err
	}
	out, err := to.Create(e.Path)
	if err != nil {
		return "", false, err
	}
	sum, err := c.copy(out, in, now.Size)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", false, fmt.Errorf("cannot copy %s: %w", in.Name(), err)
	}
	ok, err := check()
	return sum, ok, err
}
