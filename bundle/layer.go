package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"dhow/manifest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// maxWindow bounds the memory of a zstd decoder: the window of zstd --long=27, the largest that any decoder opens unasked.
const maxWindow = 128 << 20

// FullWindow is the largest window, in bytes, of a layer whole as zstd, as the centre makes it and a site opens it. It is most of the memory
// that opening one takes, and so kept far below the 64 MB that a site spends on an update.
const FullWindow = 32 << 20

// maxConfig bounds an image's config.
const maxConfig = 8 << 20

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// Compression says how a stream is compressed, judged by how it begins.
type Compression string

// Kinds of compression.
const (
	Plain Compression = ""
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
)

// Detect judges a stream by its first bytes; four are enough.
func Detect(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		return Gzip
	case bytes.HasPrefix(head, zstdMagic):
		return Zstd
	}
	return Plain
}

// Unpack returns what r holds unpacked. Its memory is bounded; the length of its output is not.
func Unpack(r io.Reader) (io.ReadCloser, Compression, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, Plain, err
	}
	switch kind := Detect(head); kind {
	case Gzip:
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, kind, err
		}
		return z, kind, nil
	case Zstd:
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, kind, err
		}
		return z.IOReadCloser(), kind, nil
	default:
		return io.NopCloser(b), Plain, nil
	}
}

// IsDecodeError reports whether an error of Unpack's reader says that the compressed bytes are wrong, rather than that they could not
// be read.
func IsDecodeError(err error) bool {
	var path *fs.PathError
	return err != nil && err != io.EOF && !errors.As(err, &path) && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, context.DeadlineExceeded)
}

// OpenLayer opens a layer unpacked, from whichever form the store holds. The reader returns at most l.DiffSize bytes, ErrTooLarge when
// there are more, and ErrDamaged in place of EOF when they are not those of l.DiffID. It unpacks, hashes and is read at the same time.
func (s *Store) OpenLayer(l manifest.Layer) (io.ReadCloser, error) {
	if b := plain(l); s.Has(b) {
		r, err := s.Open(b)
		if err != nil {
			return nil, err
		}
		checked := readAhead(r)
		return readCloser{checked, func() error { return errors.Join(checked.Close(), r.Close()) }}, nil
	}
	path, err := s.path(l.Digest)
	if err != nil {
		return nil, fmt.Errorf("cannot open layer: %w", err)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open layer: %w", err)
	}
	z, _, err := Unpack(f)
	if err != nil {
		_ = f.Close()
		return nil, layerError(l, err)
	}
	unpacked := readAhead(z)
	checked := readAhead(&layerReader{layer: l, r: unpacked, hash: digest.SHA256.Digester()})
	return readCloser{checked, func() error {
		_, _, _ = checked.Close(), unpacked.Close(), z.Close() // in this order: each reads from the next
		return f.Close()
	}}, nil
}

// layerReader bounds and verifies an unpacked layer.
type layerReader struct {
	layer manifest.Layer
	r     io.Reader
	hash  digest.Digester
	n     int64
	err   error
}

func (l *layerReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	// One byte more than declared is asked for: that is how a bomb shows, long before it has unpacked.
	if left := l.layer.DiffSize - l.n; int64(len(p)) > left+1 {
		p = p[:left+1]
	}
	n, err := l.r.Read(p)
	if l.n+int64(n) > l.layer.DiffSize {
		l.err = fmt.Errorf("layer %s unpacks to more than the %d bytes that the release declares: %w",
			l.layer.Digest, l.layer.DiffSize, ErrTooLarge)
		return 0, l.err
	}
	l.hash.Hash().Write(p[:n])
	l.n += int64(n)
	if err == io.EOF {
		err = l.check()
	} else if err != nil {
		err = layerError(l.layer, err)
	}
	l.err = err
	return n, err
}

func (l *layerReader) check() error {
	if l.n != l.layer.DiffSize {
		return fmt.Errorf("layer %s is %w: it unpacks to %d bytes, and the release declares %d",
			l.layer.Digest, ErrDamaged, l.n, l.layer.DiffSize)
	}
	if got := l.hash.Digest(); got != l.layer.DiffID {
		return fmt.Errorf("layer %s is %w: it unpacks to the diff ID %s, and the release declares %s",
			l.layer.Digest, ErrDamaged, got, l.layer.DiffID)
	}
	return io.EOF
}

func layerError(l manifest.Layer, err error) error {
	if IsDecodeError(err) {
		return fmt.Errorf("layer %s is %w: cannot unpack it: %v", l.Digest, ErrDamaged, err)
	}
	return fmt.Errorf("cannot read layer %s: %w", l.Digest, err)
}

// VerifyImage makes sure that an image in the store is right: the config is the one that is pinned, its diff IDs are those of the layers,
// and every layer unpacks to exactly what is declared. It reads all of it to its last byte, but for layers that this process has unpacked
// before, perhaps while they were stored, and whose file is still the same. It fails with ErrDamaged or ErrTooLarge.
func (s *Store) VerifyImage(ctx context.Context, p manifest.PlatformImage) error {
	return s.VerifyAbove(ctx, p, 0)
}

// VerifyAbove does the same for an image whose first layers, so many of them, are known to be right: of these it asks only whether they are here.
func (s *Store) VerifyAbove(ctx context.Context, p manifest.PlatformImage, known int) error {
	if err := s.verifyImage(ctx, p, known); err != nil {
		return fmt.Errorf("cannot use image %s: %w", p.Config.Digest, err)
	}
	return nil
}

func (s *Store) verifyImage(ctx context.Context, p manifest.PlatformImage, known int) error {
	data, err := s.Read(p.Config, maxConfig)
	if err != nil {
		return err
	}
	ids, err := DiffIDs(data)
	if err != nil {
		return err
	}
	if len(ids) != len(p.Layers) {
		return fmt.Errorf("its config is %w: it has %d layers, and the release declares %d", ErrDamaged, len(ids), len(p.Layers))
	}
	for i, l := range p.Layers {
		if ids[i] != l.DiffID {
			return fmt.Errorf("its config is %w: layer %d has the diff ID %s, and the release declares %s", ErrDamaged, i+1, ids[i], l.DiffID)
		}
	}
	for i, l := range p.Layers {
		if i < known && s.HasLayer(l) {
			continue
		}
		if err := s.verifyLayer(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) verifyLayer(ctx context.Context, l manifest.Layer) error {
	if s.isChecked(l) {
		return context.Cause(ctx)
	}
	r, err := s.OpenLayer(l)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, WithContext(ctx, r))
	return err
}

// maxImageConfig is the size in bytes up to which an image's config is read.
const maxImageConfig = 8 << 20

// DiffIDs returns the diff IDs that an image's config lists, lowest layer first.
func DiffIDs(config []byte) ([]digest.Digest, error) {
	var c struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := manifest.CheckJSON(config, manifest.JSONLimits{Size: maxImageConfig, Depth: 32, Values: 500_000}); err != nil {
		return nil, fmt.Errorf("the config is %w: %w", ErrDamaged, err)
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("the config is %w: %v", ErrDamaged, err)
	}
	for _, d := range c.RootFS.DiffIDs {
		if !IsDigest(d) {
			return nil, fmt.Errorf("the config is %w: %q is not a diff ID", ErrDamaged, d)
		}
	}
	return c.RootFS.DiffIDs, nil
}
