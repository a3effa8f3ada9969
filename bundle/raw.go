package bundle

import (
	"fmt"
	"io"
	"os"

	"dhow/manifest"
)

// OpenRaw opens the file of b at offset. Nothing compares what is read: it is for transfers that begin in the middle, whose other end knows
// the digest. It fails with fs.ErrNotExist when the store does not hold b, and with ErrDamaged when its length is another.
func (s *Store) OpenRaw(b manifest.Blob, offset int64) (*os.File, error) {
	path, err := s.path(b.Digest)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != b.Size {
		err = fmt.Errorf("blob %s is %w: it has %d bytes, not %d", b.Digest, ErrDamaged, info.Size(), b.Size)
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot open blob: %w", err)
	}
	return f, nil
}
