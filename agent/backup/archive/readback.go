package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"dhow/agent/backup/tree"
)

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
