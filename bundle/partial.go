package bundle

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dhow/agent/fault"
	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// A power cut takes what came to a part since it was synced: at most so many bytes, and little of a slow line.
const (
	syncEvery = 64 << 20
	syncAfter = 5 * time.Second
)

// PartialFile is the beginning of a blob that is being fetched. It survives restarts; Finish turns it into a blob.
type PartialFile struct {
	store   *Store
	blob    manifest.Blob
	beside  bool // another part of the blob may be there
	f       *os.File
	sums    *sums
	hash    hash.Hash // of all of it
	size    int64
	synced  int64
	at      time.Time // when it was synced
	named   bool      // its name is on disk
	done    bool      // closed, by Finish, Close or Discard
	unpacks *unpacking
}

// Partial opens the part of b, and makes an empty one when there is none. It reads what is there: from the first place on at which that is
// not what was written, because a power cut or a bad disk has damaged it, the part is cut off. One part is open in one place at a time.
func (s *Store) Partial(ctx context.Context, b manifest.Blob) (*PartialFile, error) {
	return s.openPartial(ctx, b, false)
}

// Beside opens an empty part of b for content that differs from the part that is there, which stays until Finish has found this one to be
// right. It does not survive a restart, nor Close.
func (s *Store) Beside(ctx context.Context, b manifest.Blob) (*PartialFile, error) {
	return s.openPartial(ctx, b, true)
}

func (s *Store) openPartial(ctx context.Context, b manifest.Blob, beside bool) (*PartialFile, error) {
	p, err := s.newPartial(ctx, b, beside)
	if err != nil {
		return nil, fmt.Errorf("cannot open part: %w", err)
	}
	return p, nil
}

func (s *Store) newPartial(ctx context.Context, b manifest.Blob, beside bool) (*PartialFile, error) {
	if !IsDigest(b.Digest) {
		return nil, fmt.Errorf("%q is not a SHA-256 digest", b.Digest)
	}
	path, flags := s.partPath(b.Digest), os.O_RDWR|os.O_CREATE
	if beside { // under a name that is cleared away after a crash
		path, flags = filepath.Join(s.partial(), durable.TempPrefix+b.Digest.Encoded()), flags|os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, err
	}
	p := &PartialFile{store: s, blob: b, beside: beside, f: f, hash: digest.SHA256.Hash(), at: time.Now()}
	if p.sums, err = openSums(path + sumsEnd); err == nil {
		err = p.keep(ctx, b.Size)
	}
	if err != nil {
		_ = p.close()
		return nil, err
	}
	return p, nil
}

// Unpack asks for l, which is carried as this blob, to be unpacked and compared while it is written, so that it needn't be read again for
// that. It does nothing for a part that has begun before, and while another layer is being unpacked so. The outcome changes nothing here:
// VerifyImage reads a layer that was not right, or not written in one go, and says why.
func (p *PartialFile) Unpack(l manifest.Layer) {
	if p.size == 0 && p.unpacks == nil && l.Digest == p.blob.Digest && l.DiffID != l.Digest {
		p.unpacks = p.store.unpackBeside(l)
	}
}

// unpacked is what the whole content is known to be: the layer for which Unpack asked, or itself.
func (p *PartialFile) unpacked() manifest.Layer {
	if u := p.unpacks; u != nil {
		if p.unpacks = nil; u.end(nil) == nil {
			return u.layer
		}
	}
	return itself(p.blob)
}

// breakOff ends what Unpack has begun.
func (p *PartialFile) breakOff() {
	if p.unpacks != nil {
		_ = p.unpacks.end(errBrokenOff)
		p.unpacks = nil
	}
}

// keep cuts the part off where it is not what was written, and behind most bytes.
func (p *PartialFile) keep(ctx context.Context, most int64) error {
	there, err := p.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.hash.Reset()
	if p.size, err = p.sums.check(ctx, p.f, min(there, most), p.hash); err != nil {
		return err
	}
	if p.size < there {
		if err := p.f.Truncate(p.size); err != nil {
			return err
		}
	}
	p.synced = min(p.synced, p.size)
	_, err = p.f.Seek(p.size, io.SeekStart)
	return err
}

// ReadAt reads what was appended, from an offset on.
func (p *PartialFile) ReadAt(b []byte, off int64) (int, error) { return p.f.ReadAt(b, off) }

// CutTo makes the part n bytes long, if it is longer. When its sums are damaged it may become shorter.
func (p *PartialFile) CutTo(ctx context.Context, n int64) error {
	if n >= p.size {
		return nil
	}
	p.breakOff()
	start := max(0, n-sumEvery) // whole pieces stay, and the last one is written again
	tail := make([]byte, n-start)
	_, err := p.f.ReadAt(tail, start)
	if err == nil {
		err = p.sums.write(p.size)
	}
	if err == nil {
		err = p.keep(ctx, n)
	}
	if err == nil && p.size >= start {
		_, err = p.Write(tail[p.size-start:])
	}
	if err != nil {
		return fmt.Errorf("cannot cut part: %w", err)
	}
	return nil
}

func (s *Store) partPath(d digest.Digest) string { return filepath.Join(s.partial(), d.Encoded()) }

// PartialSize is the length in bytes of what was fetched of b before.
func (s *Store) PartialSize(b manifest.Blob) int64 {
	if !IsDigest(b.Digest) {
		return 0
	}
	info, err := os.Stat(s.partPath(b.Digest))
	if err != nil {
		return 0
	}
	return info.Size()
}

// RemovePart deletes what was fetched of a blob that is not whole. Deleting what is not there is no error.
func (s *Store) RemovePart(d digest.Digest) error {
	if !IsDigest(d) {
		return fmt.Errorf("cannot delete part: %q is not a SHA-256 digest", d)
	}
	if err := removeAll(s.partPath(d), s.partPath(d)+sumsEnd); err != nil {
		return fmt.Errorf("cannot delete part: %w", err)
	}
	return nil
}

// Size is the length of the part in bytes.
func (p *PartialFile) Size() int64 { return p.size }

// Write appends to the part. It refuses with ErrTooLarge to make it longer than the blob.
func (p *PartialFile) Write(b []byte) (n int, err error) {
	if p.size+int64(len(b)) > p.blob.Size {
		return 0, fmt.Errorf("blob %s is %w: longer than its %d bytes", p.blob.Digest, ErrTooLarge, p.blob.Size)
	}
	if err := fault.Point("store/part-write"); err != nil {
		return 0, err
	}
	for n < len(b) && err == nil {
		var m int
		m, err = p.f.Write(b[n:min(len(b), n+sumEvery)])
		p.unpacks.write(b[n : n+m])
		p.hash.Write(b[n : n+m])
		p.size += int64(m)
		err = errors.Join(err, p.sums.add(b[n:n+m], p.size))
		n += m
	}
	if err == nil && (p.size-p.synced >= syncEvery || time.Since(p.at) >= syncAfter) {
		err = p.Sync()
	}
	return n, err
}

// Sync makes what was appended survive a power cut.
func (p *PartialFile) Sync() error {
	if err := errors.Join(p.sums.sync(p.size), p.f.Sync()); err != nil {
		return err
	}
	p.synced, p.at = p.size, time.Now()
	if p.named {
		return nil
	}
	err := durable.SyncDir(p.store.partial())
	p.named = err == nil
	return err
}

// Finish puts the part in place as the blob. When the content is wrong it deletes the part and fails with ErrDamaged. The part is
// closed in every case.
func (p *PartialFile) Finish() error {
	p.done = true
	defer p.close()
	if err := p.Check(); err != nil {
		_ = p.Discard()
		return err
	}
	path, err := p.store.path(p.blob.Digest)
	if err != nil {
		return err
	}
	p.unpacks.written()
	err = errors.Join(p.sums.write(p.size), fault.Point("store/part-sync"), p.f.Sync())
	layer := p.unpacked()
	err = errors.Join(err, p.close()) // Windows moves no open file
	if err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	if err := durable.Rename(p.f.Name(), path); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	p.store.remember(layer)
	if err := removeAll(p.f.Name() + sumsEnd); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	if p.beside {
		return p.store.RemovePart(p.blob.Digest)
	}
	return nil
}

// Check compares the content with the blob. It fails with ErrDamaged.
func (p *PartialFile) Check() error {
	if p.size != p.blob.Size {
		return fmt.Errorf("blob %s is %w: it has %d bytes, not %d", p.blob.Digest, ErrDamaged, p.size, p.blob.Size)
	}
	if got := digest.NewDigest(digest.SHA256, p.hash); got != p.blob.Digest {
		return fmt.Errorf("blob %s is %w: its content has the digest %s", p.blob.Digest, ErrDamaged, got)
	}
	return nil
}

// Close keeps the part for another time; after Finish it does nothing.
func (p *PartialFile) Close() error {
	if p.done {
		return nil
	}
	p.done = true
	if p.size == 0 || p.beside {
		return p.Discard()
	}
	return errors.Join(p.Sync(), p.close())
}

// Discard closes and deletes the part.
func (p *PartialFile) Discard() error {
	p.done = true
	_ = p.close()
	if err := removeAll(p.f.Name(), p.f.Name()+sumsEnd); err != nil {
		return fmt.Errorf("cannot delete part: %w", err)
	}
	return nil
}

// close closes the files; when that was done before it does nothing.
func (p *PartialFile) close() error {
	p.breakOff()
	err := closeOnce(p.f)
	if p.sums != nil {
		err = errors.Join(err, closeOnce(p.sums.f))
	}
	return err
}

func closeOnce(f *os.File) error {
	if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// removeAll deletes files. Those that are not there are no error.
func removeAll(paths ...string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openRegular opens a file that is a regular one; anything else (a pipe would wait for ever) is refused.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	return os.Open(path)
}
