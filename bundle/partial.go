package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dhow/agent/fault"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// syncEvery is how many bytes a power cut can take from a part.
const syncEvery = 8 << 20

// PartialFile is the beginning of a blob that is being fetched. It survives restarts; Finish turns it into a blob.
type PartialFile struct {
	store  *Store
	blob   manifest.Blob
	f      *os.File
	size   int64
	synced int64
	named  bool // its name is on disk
	done   bool // closed, by Finish, Close or Discard
}

// Partial opens the part of b, and makes an empty one when there is none. One part is open in one place at a time.
func (s *Store) Partial(b manifest.Blob) (*PartialFile, error) {
	if !IsDigest(b.Digest) {
		return nil, fmt.Errorf("cannot open part: %q is not a SHA-256 digest", b.Digest)
	}
	f, err := os.OpenFile(filepath.Join(s.partial(), b.Digest.Encoded()), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open part: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot open part: %w", err)
	}
	return &PartialFile{store: s, blob: b, f: f, size: size, synced: size}, nil
}

// PartialSize is the length in bytes of what was fetched of b before.
func (s *Store) PartialSize(b manifest.Blob) int64 {
	if !IsDigest(b.Digest) {
		return 0
	}
	info, err := os.Stat(filepath.Join(s.partial(), b.Digest.Encoded()))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Size is the length of the part in bytes.
func (p *PartialFile) Size() int64 { return p.size }

// Write appends to the part. It refuses with ErrTooLarge to make it longer than the blob.
func (p *PartialFile) Write(b []byte) (int, error) {
	if p.size+int64(len(b)) > p.blob.Size {
		return 0, fmt.Errorf("blob %s is %w: longer than its %d bytes", p.blob.Digest, ErrTooLarge, p.blob.Size)
	}
	if err := fault.Point("store/part-write"); err != nil {
		return 0, err
	}
	n, err := p.f.Write(b)
	p.size += int64(n)
	if err == nil && p.size-p.synced >= syncEvery {
		err = p.Sync()
	}
	return n, err
}

// Sync makes what was appended survive a power cut.
func (p *PartialFile) Sync() error {
	if err := p.f.Sync(); err != nil {
		return err
	}
	p.synced = p.size
	if p.named {
		return nil
	}
	err := durable.SyncDir(p.store.partial())
	p.named = err == nil
	return err
}

// Truncate makes the part empty.
func (p *PartialFile) Truncate() error {
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.size, p.synced = 0, 0
	return nil
}

// Finish reads the whole part back from its beginning and puts it in place as the blob. When the content is wrong it deletes the part
// and fails with ErrDamaged. The part is closed in every case.
func (p *PartialFile) Finish(ctx context.Context) error {
	p.done = true
	defer p.f.Close()
	if err := errors.Join(fault.Point("store/part-sync"), p.f.Sync()); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	v := NewVerifier(WithContext(ctx, p.f), p.blob, "blob "+p.blob.Digest.String())
	if _, err := io.Copy(io.Discard, v); err != nil {
		if errors.Is(err, ErrDamaged) {
			_ = p.Discard()
		}
		return err
	}
	path, err := p.store.path(p.blob.Digest)
	if err != nil {
		return err
	}
	if err := p.f.Close(); err != nil { // before the rename: Windows moves no open file
		return fmt.Errorf("cannot store blob: %w", err)
	}
	if err := durable.Rename(p.f.Name(), path); err != nil {
		return fmt.Errorf("cannot store blob: %w", err)
	}
	return nil
}

// Close keeps the part for another time; after Finish it does nothing.
func (p *PartialFile) Close() error {
	if p.done {
		return nil
	}
	p.done = true
	if p.size == 0 {
		return p.Discard()
	}
	return errors.Join(p.Sync(), p.f.Close())
}

// Discard closes and deletes the part.
func (p *PartialFile) Discard() error {
	p.done = true
	_ = p.f.Close()
	if err := os.Remove(p.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot delete part: %w", err)
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
