package pack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/split"
	"dhow/manifest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Write writes a bundle: a file when out ends with .tar, .tgz, .tar.gz or .tar.zst, a folder otherwise. A file replaces one that is
// there, once it is complete; a folder keeps what it holds and gets what it lacks. With c.Split the file is written in parts (package split).
func Write(ctx context.Context, out string, c Contents) (Summary, error) {
	s, err := write(ctx, out, c)
	if errors.Is(err, syscall.EFBIG) { // FAT ends at 4 GiB
		err = fmt.Errorf("%w: the stick takes no file of this length; write it in parts (--split 2G), or a folder in place of a file", err)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("cannot write bundle %s: %w", out, err)
	}
	return s, nil
}

func write(ctx context.Context, out string, c Contents) (Summary, error) {
	p, err := newPlan(c, true)
	if err != nil {
		return Summary{}, err
	}
	s := p.summary()
	compress := compressor(out)
	switch {
	case compress == nil && c.Split != nil:
		return s, errors.New("a folder can't be written in parts: name a file")
	case compress == nil:
		s.Written, err = writeDir(ctx, out, c.Store, p, nil)
		return s, err
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		return s, fmt.Errorf("it is a folder")
	}
	fill := func(w io.Writer) error {
		z, err := compress(w)
		if err != nil {
			return err
		}
		if err := writeTar(ctx, z, c.Store, p, made(c.Hint.Made)); err != nil {
			return err
		}
		return z.Close()
	}
	s.Written = s.Bytes
	if c.Split != nil {
		o := *c.Split
		o.Expect = s.Bytes
		sums, err := split.Write(ctx, out, o, fill)
		if err == nil {
			s.Size, s.Parts = sums.Size, len(sums.Parts)
		}
		return s, err
	}
	if err := durable.Write(out, 0o644, fill); err != nil {
		return s, err
	}
	info, err := os.Stat(out)
	if err != nil {
		return s, err
	}
	s.Size = info.Size()
	return s, nil
}

func (p *plan) summary() Summary {
	s := Summary{Documents: len(p.docs), Blobs: len(p.blobs), Warnings: p.warnings}
	for _, b := range p.blobs {
		s.Bytes += b.Size
	}
	return s
}

// made is the time of the entries: two bundles of the same contents and Hint are the same to the last byte.
func made(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC().Truncate(time.Second)
}

// compressor returns what the name of a file asks for, or nil for a folder. The fast levels are right: layers are compressed already.
func compressor(out string) func(io.Writer) (io.WriteCloser, error) {
	switch name := strings.ToLower(out); {
	case strings.HasSuffix(name, ".tgz"), strings.HasSuffix(name, ".tar.gz"):
		return func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }
	case strings.HasSuffix(name, ".tar.zst"):
		return func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		}
	case strings.HasSuffix(name, ".tar"):
		return func(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }
	}
	return nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func writeTar(ctx context.Context, w io.Writer, store *bundle.Store, p *plan, t time.Time) error {
	tw := tar.NewWriter(w)
	put := func(path string, size int64, r io.Reader) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o644, ModTime: t}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(tw, bundle.WithContext(ctx, r))
		return err
	}
	for _, d := range p.docs {
		if err := put(d.path, int64(len(d.data)), bytes.NewReader(d.data)); err != nil {
			return err
		}
	}
	for _, b := range p.blobs {
		r, err := store.Open(b)
		if err != nil {
			return err
		}
		err = put(bundle.BlobPath(b.Digest), b.Size, p.watch(r))
		_ = r.Close()
		if err != nil {
			return err
		}
	}
	return tw.Close()
}

// PublishDir writes a folder that sites read through a web server, a mount or a stick. Blobs that are there with the right size stay as
// they are; timestamp.json, which makes the new manifest visible, comes last. Nothing is ever removed: who has read an older timestamp
// still finds everything that belongs to it. It fails with ErrClaimed while somebody else publishes into the folder.
func PublishDir(ctx context.Context, dir string, c Contents) error {
	claim, err := Begin(ctx, filepath.Clean(dir), Publisher{By: "another program"})
	if err != nil {
		return err
	}
	defer claim.End()
	return claim.Publish(ctx, c, nil)
}

// writeDir returns the bytes of the blobs that were not there before. ready, which may be nil, is asked when all but the timestamp is there.
func writeDir(ctx context.Context, dir string, store *bundle.Store, p *plan, ready func() error) (written int64, err error) {
	for _, d := range append(folders(p.docs), bundle.BlobsDir, ".") {
		d = filepath.Join(dir, filepath.FromSlash(d))
		if err := durable.MkdirAll(d, 0o755); err != nil {
			return 0, err
		}
		if err := durable.Clean(d); err != nil {
			return 0, err
		}
	}
	for _, b := range p.blobs {
		path := filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(b.Digest)))
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == b.Size {
			p.wrote(b.Size)
			continue
		}
		if err := copyBlob(ctx, path, store, b, p); err != nil {
			return written, err
		}
		written += b.Size
	}
	var last *document
	for n, d := range p.docs {
		if d.path == bundle.TimestampPath {
			last = &p.docs[n]
			continue
		}
		if err := writeDocument(dir, d); err != nil {
			return written, err
		}
	}
	if last == nil {
		return written, nil
	}
	if ready != nil {
		if err := ready(); err != nil {
			return written, err
		}
	}
	return written, writeDocument(dir, *last)
}

func writeDocument(dir string, d document) error {
	path := filepath.Join(dir, filepath.FromSlash(d.path))
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, d.data) {
		return nil
	}
	return durable.WriteFile(path, d.data, 0o644)
}

func copyBlob(ctx context.Context, path string, store *bundle.Store, b manifest.Blob, p *plan) error {
	r, err := store.Open(b)
	if err != nil {
		return err
	}
	defer r.Close()
	return durable.Write(path, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, p.watch(bundle.WithContext(ctx, r)))
		return err
	})
}

// wrote tells how far the bundle is.
func (p *plan) wrote(n int64) {
	if p.done += n; p.tell != nil {
		p.tell(p.done, p.summary().Bytes)
	}
}

// watch counts what is read.
func (p *plan) watch(r io.Reader) io.Reader { return counter{r, p} }

type counter struct {
	r io.Reader
	p *plan
}

func (c counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.wrote(int64(n))
	return n, err
}
