package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"dhow/bundle/durable"
)

// Frames that are kept, in bytes: lists are read from one end to the other, files come back to older frames.
const (
	framesOfLists = 1 << 20
	framesOfFiles = 12 << 20
	openPacks     = 16
)

// unpacker decompresses frames.
type unpacker struct {
	zstd *zstd.Decoder
	in   []byte
}

func newUnpacker() (unpacker, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderLowmem(true))
	return unpacker{zstd: d}, err
}

// reader reads chunks and checks them. Frames are kept for a while, since files keep their pages together. One goroutine at a time
// uses it.
type reader struct {
	unpacker
	c      *catalog
	disk   bool // read from the disk what the system may hold in memory
	frames *recently[[2]uint32, []byte]
	spare  []byte // memory of a frame that was let go of
	files  *recently[uint32, *os.File]
}

func newReader(c *catalog, frames int) (*reader, error) {
	u, err := newUnpacker()
	if err != nil {
		return nil, err
	}
	r := &reader{unpacker: u, c: c}
	r.frames = newRecently[[2]uint32](frames, func(b []byte) int { return cap(b) }, func(b []byte) { r.spare = b })
	r.files = newRecently[uint32](openPacks, func(*os.File) int { return 1 }, func(f *os.File) { _ = f.Close() })
	return r, nil
}

func (r *reader) close() {
	r.files.clear()
	r.zstd.Close()
}

// fetch returns where a chunk stands and its bytes, unchecked and good until the next call.
func (r *reader) fetch(x ref) (spot, []byte, error) {
	s, err := r.c.find(x.id)
	if err != nil {
		return s, nil, err
	}
	frame, ok := r.frames.get([2]uint32{s.pack, s.frame})
	if !ok {
		f, err := r.pack(s.pack)
		if err != nil {
			return s, nil, err
		}
		frame, err = r.readFrame(f, s.frame, r.spare)
		r.spare = nil
		if err != nil {
			var system *os.PathError
			if errors.As(err, &system) {
				return s, nil, err // a read error of the disk is no proof of damage
			}
			frame = nil
		}
		r.frames.put([2]uint32{s.pack, s.frame}, frame)
	}
	if int64(s.off)+int64(x.size) > int64(len(frame)) {
		return s, nil, nil // the check that follows fails
	}
	return s, frame[s.off : s.off+x.size], nil
}

func (r *reader) pack(n uint32) (*os.File, error) {
	if f, ok := r.files.get(n); ok {
		return f, nil
	}
	name := r.c.packName(n)
	f, err := os.Open(packPath(r.c.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("pack %s is missing", name)
	}
	if err != nil {
		return nil, err
	}
	if r.disk {
		forget(f)
		if err := r.c.checkPack(n, f); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	r.files.put(n, f)
	return f, nil
}

// check compares a chunk that came from s with its name. When it is not right, its pack is marked, and another place tried.
func (r *reader) check(x ref, s spot, data []byte) ([]byte, error) {
	if len(data) == int(x.size) && sha256.Sum256(data) == x.id {
		return data, nil
	}
	if err := r.c.mark(s.pack); err != nil {
		return nil, err
	}
	if again, err := r.c.find(x.id); err == nil && again.pack != s.pack {
		other, err := newReader(r.c, framesOfLists)
		if err != nil {
			return nil, err
		}
		defer other.close()
		return other.chunk(x)
	}
	return nil, damaged("pack %s does not hold what was written", r.c.packName(s.pack))
}

// chunk reads a chunk and checks it; the bytes are good until the next call.
func (r *reader) chunk(x ref) ([]byte, error) {
	s, b, err := r.fetch(x)
	if err != nil {
		return nil, err
	}
	return r.check(x, s, b)
}

// checkPack reads the contents of a pack, which is not needed as long as the index is there.
func (c *catalog) checkPack(n uint32, f *os.File) error {
	name, size := c.packName(n), c.packSize(n)
	_, err := readContents(f, size)
	if !errors.Is(err, errPack) {
		return err
	}
	if err := c.mark(n); err != nil {
		return err
	}
	return damaged("pack %s does not hold what was written", name)
}

func (c *catalog) packSize(n uint32) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packs[n].size
}

func (c *catalog) packName(n uint32) digest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packs[n].name
}

// mark notes that a pack is damaged: from now on its chunks are stored anew, and read from it only when they are nowhere else.
func (c *catalog) mark(n uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.states[n] == broken {
		return nil
	}
	if err := point("archive/mark-damaged"); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(c.dir, damagedDir, c.packs[n].name.String()), nil, 0o600); err != nil {
		return fmt.Errorf("cannot mark damaged pack: %w", err)
	}
	c.states[n] = broken
	return c.readPack(n)
}

// extent is a part of a file: a chunk, or a hole when id is empty.
type extent struct{ ref }

func (e extent) hole() bool { return e.id == digest{} }

// record is e as it stands in a list.
func (e extent) record() []byte {
	return append(le.AppendUint32(make([]byte, 0, extentSize), e.size), e.id[:]...)
}

// bytesFrom reads what chunks hold, one after the other.
type bytesFrom struct {
	r    *reader
	refs []ref
	rest []byte
	err  error
}

func (b *bytesFrom) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if len(b.refs) == 0 {
			return 0, io.EOF
		}
		data, err := b.r.chunk(b.refs[0])
		if err != nil {
			b.err = err
			return 0, err
		}
		b.refs = b.refs[1:]
		b.rest = append(b.rest[:0], data...) // somebody may read another chunk meanwhile
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// piece is a chunk on its way from fetch to check.
type piece struct {
	extent
	spot
	data []byte
	err  error
}

// pieces goes through size bytes of extents and hands over each chunk, checked, and where it belongs. Long files are read by a
// goroutine of its own while chunks are checked and used.
func (r *reader) pieces(ctx context.Context, from *extents, size int64, use func(at int64, x extent, data []byte) error) error {
	if size <= maxChunk {
		for at := int64(0); at < size; {
			x, err := from.next(size - at)
			if err != nil {
				return err
			}
			if !x.hole() {
				data, err := r.chunk(x.ref)
				if err != nil {
					return err
				}
				if err := use(at, x, data); err != nil {
					return err
				}
			} else if err := use(at, x, nil); err != nil {
				return err
			}
			at += int64(x.size)
		}
		return ctx.Err()
	}
	const ahead = 32
	inner, stop := context.WithCancel(ctx)
	out, free := make(chan piece, ahead), make(chan []byte, ahead+2)
	for range cap(free) {
		free <- nil
	}
	go func() {
		defer close(out)
		for at := int64(0); at < size; {
			var p piece
			if p.extent, p.err = from.next(size - at); p.err == nil && !p.hole() {
				var data []byte
				if p.spot, data, p.err = r.fetch(p.ref); data != nil {
					p.data = append((<-free)[:0], data...)
				}
			}
			select {
			case out <- p:
			case <-inner.Done():
				return
			}
			if p.err != nil {
				return
			}
			at += int64(p.size)
		}
	}()
	err := func() error {
		at := int64(0)
		for p := range out {
			if err := errors.Join(p.err, ctx.Err()); err != nil {
				return err
			}
			data := p.data
			if !p.hole() {
				var err error
				if data, err = r.check(p.ref, p.spot, p.data); err != nil {
					return err
				}
			}
			if err := use(at, p.extent, data); err != nil {
				return err
			}
			at += int64(p.size)
			if p.data != nil {
				free <- p.data
			}
		}
		if at < size {
			return ctx.Err()
		}
		return nil
	}()
	stop()
	for p := range out { // let the other goroutine end
		if p.data != nil {
			free <- p.data
		}
	}
	return err
}
