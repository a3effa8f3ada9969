package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const bufferSize = 1 << 20

// copier copies and hashes file contents with one buffer.
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
	if size > 0 && unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil {
		if err := out.Truncate(size); err != nil {
			return "", err
		}
		return c.hash(out, size)
	}
	if err := out.Truncate(size); err != nil {
		return "", err
	}
	sum := sha256.New()
	for at := int64(0); at < size; {
		data, hole := segment(in, at, size)
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

// segment finds the next stretch of data from at on. A file system that knows no holes says that all is data.
func segment(f *os.File, at, size int64) (data, hole int64) {
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return size, size
	}
	if err != nil || data < at {
		return at, size
	}
	hole, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
	if err != nil || hole <= data {
		hole = size
	}
	return min(data, size), min(hole, size)
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

// hashDisk returns the SHA-256 and size of a regular file as the disk has it: what the system holds in memory is dropped first.
func (c *copier) hashDisk(r *root, path raw) (string, int64, error) { return c.hashFile(r, path, true) }

// hashFile returns the SHA-256 and size of a regular file (ErrDamaged when it is none), from the disk or as programs see it.
func (c *copier) hashFile(r *root, path raw, disk bool) (string, int64, error) {
	f, err := r.open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !st.Mode().IsRegular() {
		return "", 0, r.failed("read", string(path), ErrDamaged)
	}
	if disk {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice only; synced pages are dropped
	}
	sum, err := c.hash(f, st.Size())
	return sum, st.Size(), err
}
