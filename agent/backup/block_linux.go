package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"dhow/agent/backup/tree"
	"dhow/agent/fault"
)

// bigFile is the size from which on files are copied and compared by blocks. Tests change it.
var bigFile int64 = 8 << 20

// maxReaders bounds how many blocks are read at the same time; each needs a buffer.
const maxReaders = 4

func isBig(size int64) bool { return size >= bigFile && size > 0 }

// doubts says which blocks of a file have to be read back; nil stands for all.
type doubts []bool

func countBlocks(size int64) int { return int(tree.CountBlocks(size)) }

func blocksDigest(blocks []byte) string {
	sum := sha256.Sum256(blocks)
	return hex.EncodeToString(sum[:])
}

// digestOf returns the digest of block i, or nil when there is none.
func digestOf(blocks []byte, i int) []byte {
	if (i+1)*sha256.Size > len(blocks) {
		return nil
	}
	return blocks[i*sha256.Size : (i+1)*sha256.Size]
}

// block is a part of a large file, with a buffer as large as it is.
type block struct {
	i    int
	at   int64
	buf  []byte
	last bool
}

// eachBlock calls work for every block of a file of size bytes, several at a time. Every call counts as progress.
func (c *copier) eachBlock(size int64, work func(b block) error) error {
	n, length := countBlocks(size), tree.BlockSize(size)
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, maxReaders, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			buf := make([]byte, length)
			unsaid := int64(0)
			defer func() { c.meter.add(unsaid) }()
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				at := i * length
				if at >= size {
					return
				}
				b := block{i: int(i), at: at, buf: buf[:min(length, size-at)], last: at+length >= size}
				err := c.ctx.Err()
				if err == nil {
					err = work(b)
				}
				if err != nil {
					cancel(err)
					return
				}
				if unsaid += int64(len(b.buf)); unsaid >= bufferSize {
					c.meter.add(unsaid)
					unsaid = 0
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// load reads a block; a hole is not read. A file that ends before the block does is io.ErrUnexpectedEOF.
func (b block) load(f *os.File) error {
	if data, _ := tree.Segment(f, b.at, b.at+int64(len(b.buf))); data == b.at+int64(len(b.buf)) {
		clear(b.buf)
		return nil
	}
	_, err := f.ReadAt(b.buf, b.at)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// store writes a block, with the holes that in has there.
func (b block) store(out, in *os.File) error {
	end := b.at + int64(len(b.buf))
	for at := b.at; at < end; {
		data, hole := tree.Segment(in, at, end)
		if data > at {
			const flags = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
			length := data - at
			if b.last && data == end {
				length += 1 << 20 // else the last page of the file would stay
			}
			if unix.Fallocate(int(out.Fd()), flags, at, length) != nil {
				data = at // this file system has no holes
			}
		}
		if hole > data {
			if _, err := out.WriteAt(b.buf[data-b.at:hole-b.at], data); err != nil {
				return err
			}
		}
		at = hole
	}
	return nil
}

// layout lists where data begin and end in a block of a file.
func (b block) layout(f *os.File) (list []int64) {
	end := b.at + int64(len(b.buf))
	for at := b.at; at < end; {
		data, hole := tree.Segment(f, at, end)
		if data < hole {
			list = append(list, data, hole)
		}
		at = hole
	}
	return list
}

// alike reports whether a block has its holes in both files at the same places.
func (b block) alike(out, in *os.File) bool { return slices.Equal(b.layout(out), b.layout(in)) }

// share lets out have the blocks of in, where the file system can.
func (b block) share(out, in *os.File) bool {
	return unix.IoctlFileCloneRange(int(out.Fd()), &unix.FileCloneRange{
		Src_fd: int64(in.Fd()), Src_offset: uint64(b.at), Src_length: uint64(len(b.buf)), Dest_offset: uint64(b.at),
	}) == nil
}

func (c *copier) hashBlocks(f *os.File, size int64) ([]byte, error) {
	blocks := make([]byte, countBlocks(size)*sha256.Size)
	return blocks, c.eachBlock(size, func(b block) error {
		if err := b.load(f); err != nil {
			return err
		}
		sum := sha256.Sum256(b.buf)
		copy(digestOf(blocks, b.i), sum[:])
		return nil
	})
}

// patch makes out equal to the first size bytes of in, and writes only the blocks that differ. have are the digests of out's blocks; with
// have nil they are read, unless out is fresh: empty, just made. With still set nothing writes into in, so that blocks may be shared. It
// returns the digests of in's blocks, and which blocks of out are not known to be on disk.
func (c *copier) patch(out, in *os.File, size int64, have []byte, fresh, still bool) ([]byte, doubts, error) {
	if fresh && cloned(out, in, size) {
		blocks, err := c.hashBlocks(out, size)
		return blocks, nil, err
	}
	if err := out.Truncate(size); err != nil {
		return nil, nil, err
	}
	blocks := make([]byte, countBlocks(size)*sha256.Size)
	doubt := make(doubts, countBlocks(size))
	return blocks, doubt, c.eachBlock(size, func(b block) error {
		if err := b.load(in); err != nil {
			return err
		}
		sum := sha256.Sum256(b.buf)
		copy(digestOf(blocks, b.i), sum[:])
		if bytes.Equal(sum[:], digestOf(have, b.i)) && b.alike(out, in) {
			return nil
		}
		doubt[b.i] = true
		if have == nil && !fresh {
			there := block{at: b.at, buf: make([]byte, len(b.buf))}
			if err := there.load(out); err != nil {
				return err
			}
			if bytes.Equal(there.buf, b.buf) && b.alike(out, in) {
				return nil
			}
		}
		if !still || !b.share(out, in) {
			if err := b.store(out, in); err != nil {
				return err
			}
		}
		return fault.Point("backup/block")
	})
}

// mend makes out, whatever it holds, equal to in, whose blocks must have the digests want, and writes only the blocks that differ.
func (c *copier) mend(out, in *os.File, size int64, want []byte, fresh bool) (doubts, error) {
	if fresh && cloned(out, in, size) {
		blocks, err := c.hashBlocks(out, size)
		if err == nil && !bytes.Equal(blocks, want) {
			err = errOther
		}
		return nil, err
	}
	if err := out.Truncate(size); err != nil {
		return nil, err
	}
	doubt := make(doubts, countBlocks(size))
	return doubt, c.eachBlock(size, func(b block) error {
		right := func() bool {
			sum := sha256.Sum256(b.buf)
			return bytes.Equal(sum[:], digestOf(want, b.i))
		}
		if !fresh {
			if err := b.load(out); err != nil {
				return err
			}
			if right() && b.alike(out, in) {
				return nil
			}
		}
		doubt[b.i] = true
		if err := b.load(in); err != nil {
			return err
		}
		if !right() {
			return errOther
		}
		if !b.share(out, in) {
			if err := b.store(out, in); err != nil {
				return err
			}
		}
		return fault.Point("backup/restore-block")
	})
}

// errOther says that a file of a snapshot is not what was copied.
var errOther = fmt.Errorf("%w: another content than was copied", ErrDamaged)

// readBlocks compares the doubtful blocks of a file with their digests as the disk has them, what is synced being dropped from memory first.
func (c *copier) readBlocks(f *os.File, e *tree.Entry, doubt doubts) error {
	if doubt == nil {
		forgetCached(f, 0, 0)
	}
	err := c.eachBlock(e.Size, func(b block) error {
		if doubt != nil {
			if !doubt[b.i] {
				return nil
			}
			forgetCached(f, b.at, int64(len(b.buf)))
		}
		if err := b.load(f); err != nil {
			return err
		}
		if sum := sha256.Sum256(b.buf); !bytes.Equal(sum[:], digestOf(e.Blocks, b.i)) {
			return errOther
		}
		return nil
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errOther
	}
	return err
}
