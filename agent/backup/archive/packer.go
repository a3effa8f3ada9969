package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"dhow/bundle/durable"
)

// packer stores chunks that are new. Frames are compressed by several goroutines, written by one, and finished packs are synced,
// read back from the disk and put in place by another one, while the caller goes on.
type packer struct {
	c       *catalog
	ctx     context.Context
	stop    context.CancelCauseFunc
	frame   *frame
	pending map[digest]bool // chunks of packs that are not in place yet; guarded by c.mu
	toPress chan *frame
	toWrite chan *frame
	toSeal  chan *pack
	free    chan *frame
	writing sync.WaitGroup // the compressors
	done    chan struct{}  // closed when all is sealed
	stored  int64          // bytes of packs in place; read it after finish
}

type frame struct {
	raw, out []byte
	chunks   []ref
}

// pack is a pack in the making.
type pack struct {
	f      *os.File
	sum    hash.Hash
	size   int64
	chunks []packed
}

// newPacker starts the goroutines; finish or abort must be called.
func newPacker(ctx context.Context, c *catalog) (*packer, error) {
	workers := min(runtime.GOMAXPROCS(0), 4)
	press, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(workers),
		zstd.WithWindowSize(512<<10), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	p := &packer{
		c: c, pending: map[digest]bool{}, toPress: make(chan *frame, 1), toWrite: make(chan *frame, 1), toSeal: make(chan *pack, 1),
		free: make(chan *frame, workers+4), done: make(chan struct{}),
	}
	p.ctx, p.stop = context.WithCancelCause(ctx)
	for range cap(p.free) {
		p.free <- &frame{}
	}
	for range workers {
		p.writing.Go(func() {
			for f := range p.toPress {
				f.out = press.EncodeAll(f.raw, f.out[:0])
				if len(f.out) >= len(f.raw) {
					f.out = append(f.out[:0], f.raw...)
				}
				p.toWrite <- f
			}
		})
	}
	go p.write()
	go p.seal()
	return p, nil
}

// put stores a chunk unless it is there already.
func (p *packer) put(data []byte) (ref, error) {
	x := ref{sha256.Sum256(data), uint32(len(data))}
	return x, p.keep(x, data)
}

func (p *packer) keep(x ref, data []byte) error {
	p.c.mu.Lock()
	known := p.pending[x.id]
	if !known {
		var err error
		if _, known, err = p.c.lookup(x.id, isGood); err != nil {
			p.c.mu.Unlock()
			return err
		}
		if !known {
			p.pending[x.id] = true
		}
	}
	p.c.mu.Unlock()
	if known {
		return nil
	}
	if p.frame == nil {
		select {
		case p.frame = <-p.free:
			p.frame.raw, p.frame.chunks = p.frame.raw[:0], p.frame.chunks[:0]
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
	p.frame.raw, p.frame.chunks = append(p.frame.raw, data...), append(p.frame.chunks, x)
	if len(p.frame.raw) >= targetFrame {
		p.press()
	}
	return nil
}

func (p *packer) press() {
	if p.frame != nil {
		p.toPress <- p.frame
		p.frame = nil
	}
}

// write puts frames into packs as they come.
func (p *packer) write() {
	var now *pack
	for f := range p.toWrite {
		if p.ctx.Err() == nil {
			var err error
			if now == nil {
				now, err = newPack(p.c.dir)
			}
			if err == nil {
				err = now.add(f)
			}
			if err != nil {
				p.stop(fmt.Errorf("cannot write pack: %w", err))
			}
		}
		p.free <- f
		if now != nil && (now.size >= fullPack || len(now.chunks) >= fullChunks) {
			p.toSeal <- now
			now = nil
		}
	}
	if now != nil {
		p.toSeal <- now
	}
	close(p.toSeal)
}

// seal puts packs in place that are whole.
func (p *packer) seal() {
	defer close(p.done)
	for k := range p.toSeal {
		err := context.Cause(p.ctx)
		var info packInfo
		if err == nil {
			info, err = k.seal(p.c.dir)
		}
		if err != nil {
			k.drop()
			p.stop(err)
			continue
		}
		if err := p.c.add(info, k.chunks); err != nil {
			p.stop(err)
			continue
		}
		p.stored += info.size
		p.c.mu.Lock()
		for _, x := range k.chunks {
			delete(p.pending, x.id)
		}
		p.c.mu.Unlock()
	}
}

// finish returns when all that was put is on disk, read back, and in place.
func (p *packer) finish() error {
	p.press()
	close(p.toPress)
	p.writing.Wait()
	close(p.toWrite)
	<-p.done
	err := context.Cause(p.ctx)
	p.stop(nil)
	return err
}

// abort ends the work; packs that are in place stay, as a later Create can use them and Delete removes what nothing needs.
func (p *packer) abort(why error) {
	p.stop(why)
	_ = p.finish()
}

func newPack(dir string) (*pack, error) {
	if err := point("archive/pack-create"); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Join(dir, packsDir), durable.TempPrefix)
	if err != nil {
		return nil, err
	}
	k := &pack{f: f, sum: sha256.New()}
	if err := k.write([]byte(packMagic)); err != nil {
		k.drop()
		return nil, err
	}
	return k, nil
}

func (k *pack) write(b []byte) error {
	k.sum.Write(b)
	k.size += int64(len(b))
	_, err := k.f.Write(b)
	return err
}

func (k *pack) add(f *frame) error {
	if err := point("archive/pack-write"); err != nil {
		return err
	}
	off := uint32(0)
	for _, x := range f.chunks {
		k.chunks = append(k.chunks, packed{x, uint32(k.size), off})
		off += x.size
	}
	var head [frameHeader]byte
	le.PutUint32(head[:], uint32(len(f.out)))
	le.PutUint32(head[4:], uint32(len(f.raw)))
	if err := k.write(head[:]); err != nil {
		return err
	}
	return k.write(f.out)
}

func (k *pack) drop() {
	_ = k.f.Close()
	_ = os.Remove(k.f.Name())
}

// seal completes a pack, reads it back from the disk and puts it under its name.
func (k *pack) seal(dir string) (info packInfo, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write pack: %w", err)
		}
	}()
	if err := k.write(appendContents(nil, k.chunks)); err != nil {
		return info, err
	}
	info = packInfo{digest(k.sum.Sum(nil)), k.size}
	if err := point("archive/pack-sync"); err != nil {
		return info, err
	}
	if err := k.f.Sync(); err != nil {
		return info, err
	}
	if err := point("archive/pack-verify"); err != nil {
		return info, err
	}
	if err := readBack(k.f, info); err != nil {
		return info, err
	}
	return info, settle(k.f, dir, info.name)
}

// readBack compares what the disk has of a pack, whose file is synced, with its name.
func readBack(f *os.File, info packInfo) error {
	forget(f)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{io.LimitReader(f, info.size+1)}, make([]byte, bufferSize))
	if err != nil {
		return err
	}
	if n != info.size || digest(sum.Sum(nil)) != info.name {
		return errors.New("the disk did not keep what was written")
	}
	forget(f)
	return nil
}

// settle closes a pack's file, which is synced, and puts it under its name; then the pack is a good one.
func settle(f *os.File, dir string, name digest) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := point("archive/pack-place"); err != nil {
		return err
	}
	if err := durable.Rename(f.Name(), packPath(dir, name)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, damagedDir, name.String())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return point("archive/pack-placed")
}
