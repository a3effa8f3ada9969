package ladder

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"dhow/agent/fault"
	"dhow/bundle"
	"dhow/bundle/delta"
	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// maxFiles bounds the files of an image's archive.
const maxFiles = 10_000

// baseError says that a base can't be read, which says nothing of the delta.
type baseError struct{ err error }

func (e *baseError) Error() string { return fmt.Sprintf("its base can't be read: %v", e.err) }
func (e *baseError) Unwrap() error { return e.err }

// baseFile is a layer of a base. A disk that does not give it back is no fault of the delta.
type baseFile struct{ io.ReaderAt }

// ReadAt implements io.ReaderAt.
func (f baseFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, at)
	if err != nil && err != io.EOF {
		err = &baseError{err}
	}
	return n, err
}

// bases keeps the plain layers of one image open: several deltas in a row have the same base.
type bases struct {
	*runner
	files map[digest.Digest]*os.File // by diff ID
	temp  []string                   // those of files that are temporary
}

// open returns the layers of an image. They stay open until those of another one are asked for.
func (b *bases) open(ctx context.Context, image manifest.PlatformImage) ([]delta.Layer, error) {
	if err := fault.Point("ladder/base"); err != nil {
		return nil, err
	}
	wanted := map[digest.Digest]bool{}
	for _, l := range image.Layers {
		wanted[l.DiffID] = true
	}
	for d := range b.files {
		if !wanted[d] {
			b.close()
			break
		}
	}
	missing := map[digest.Digest]int64{}
	for _, l := range image.Layers {
		if b.files[l.DiffID] != nil {
			continue
		}
		there, err := b.stored(ctx, l)
		if err != nil {
			return nil, asBase(ctx, err)
		}
		if !there {
			missing[l.DiffID] = l.DiffSize
		}
	}
	if len(missing) > 0 {
		if err := b.export(ctx, image.Config.Digest, missing); err != nil {
			return nil, asBase(ctx, err)
		}
	}
	layers := make([]delta.Layer, len(image.Layers))
	for i, l := range image.Layers {
		layers[i] = delta.Layer{Identity: delta.Identity{DiffID: l.DiffID, Size: l.DiffSize}, Tar: baseFile{b.files[l.DiffID]}}
	}
	return layers, nil
}

// asBase tells what is wrong with a base from what ends the whole.
func asBase(ctx context.Context, err error) error {
	if ctx.Err() != nil || noRoom(err) {
		return err
	}
	return &baseError{err}
}

// stored takes a layer from the store, and reports whether it is there.
func (b *bases) stored(ctx context.Context, l manifest.Layer) (bool, error) {
	if b.Store.Has(plain(l)) {
		f, err := b.Store.File(plain(l)) // compared while the delta is applied
		if err == nil {
			b.files[l.DiffID] = f
		}
		return err == nil, err
	}
	if !b.Store.HasLayer(l) {
		return false, nil
	}
	r, err := b.Store.OpenLayer(l)
	if err != nil {
		return false, err
	}
	defer r.Close()
	f, err := b.temporary()
	if err != nil {
		return false, err
	}
	b.files[l.DiffID] = f
	_, err = io.Copy(f, bundle.WithContext(ctx, r))
	return err == nil, err
}

// temporary makes a file that is removed by close.
func (b *bases) temporary() (*os.File, error) {
	dir, err := b.work()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, durable.TempPrefix+"base-*")
	if err == nil {
		b.temp = append(b.temp, f.Name())
	}
	return f, err
}

func (b *bases) close() {
	for d, f := range b.files {
		_ = f.Close()
		delete(b.files, d)
	}
	for _, name := range b.temp {
		_ = os.Remove(name)
	}
	b.temp = nil
}

// export takes layers out of the archive that the engine gives of an image, known by their digests.
func (b *bases) export(ctx context.Context, config digest.Digest, missing map[digest.Digest]int64) error {
	if b.Export == nil || !b.Engine[config] {
		return fmt.Errorf("image %s is not here any more", config)
	}
	archive, err := b.Export(ctx, config)
	if err != nil {
		return err
	}
	defer archive.Close()
	files := tar.NewReader(bundle.WithContext(ctx, archive))
	for range maxFiles {
		h, err := files.Next()
		if errors.Is(err, io.EOF) || len(missing) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("cannot read the engine's archive of image %s: %w", config, err)
		}
		if h.Typeflag == tar.TypeReg {
			if err := b.take(files, h.Size, missing); err != nil {
				return err
			}
		}
	}
	for d := range missing {
		return fmt.Errorf("the engine's archive of image %s does not hold layer %s", config, d)
	}
	return nil
}

// take keeps a file of the archive if it is a layer that is missing, plain or compressed.
func (b *bases) take(r io.Reader, size int64, missing map[digest.Digest]int64) error {
	var most int64
	exact := false
	for _, n := range missing {
		most = max(most, n)
		exact = exact || n == size
	}
	in := bufio.NewReaderSize(r, 256<<10)
	head, _ := in.Peek(4)
	unpacked := io.Reader(in)
	if bundle.Detect(head) != bundle.Plain {
		z, _, err := bundle.Unpack(in)
		if err != nil {
			return nil // it only begins as if it were compressed
		}
		defer z.Close()
		unpacked = z
	} else if !exact {
		return nil
	}
	f, err := b.temporary()
	if err != nil {
		return err
	}
	hash := digest.SHA256.Digester()
	n, err := io.Copy(io.MultiWriter(f, hash.Hash()), io.LimitReader(unpacked, most+1))
	if err != nil && noRoom(err) {
		return errors.Join(err, f.Close())
	}
	if want, ok := missing[hash.Digest()]; err == nil && ok && want == n {
		b.files[hash.Digest()] = f
		delete(missing, hash.Digest())
		return nil
	}
	_ = f.Close()
	return os.Remove(f.Name())
}
