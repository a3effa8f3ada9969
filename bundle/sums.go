package bundle

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"time"
)

// sumsEnd is what the name of a part's sums ends with.
const sumsEnd = ".sums"

// A sum is written for each sumEvery bytes, and on a slow line more often: what came since the last one is fetched again after a kill.
const (
	sumEvery = 256 << 10
	sumAfter = 2 * time.Second
	sumSize  = 12
)

// sums tell what was written to a part, so that what a power cut or a bad disk leaves in its place is found before the rest is fetched.
// The file is a list of the end of a piece (8 bytes, big endian) and the CRC-32C of that piece (4 bytes). A piece begins where the one
// before it ends and has at most sumEvery bytes.
type sums struct {
	f   *os.File
	n   int64     // records
	end int64     // of the last record
	crc uint32    // of what came since
	at  time.Time // of the last record
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openSums(path string) (*sums, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &sums{f: f}, nil
}

// check reads at most limit bytes of a part as far as the sums are right, puts them into h, and forgets the sums behind. It returns how many
// bytes that are. A piece that goes beyond limit doesn't count.
func (s *sums) check(ctx context.Context, part io.Reader, limit int64, h hash.Hash) (int64, error) {
	if _, err := s.f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	s.n, s.end, s.crc, s.at = 0, 0, 0, time.Now()
	list := bufio.NewReader(s.f)
	piece := make([]byte, min(limit, sumEvery))
	var record [sumSize]byte
	for ctx.Err() == nil {
		if _, err := io.ReadFull(list, record[:]); err != nil {
			break
		}
		end := int64(binary.BigEndian.Uint64(record[:]))
		if end <= s.end || end > limit || end-s.end > sumEvery {
			break
		}
		p := piece[:end-s.end]
		if _, err := io.ReadFull(part, p); err != nil || crc32.Checksum(p, castagnoli) != binary.BigEndian.Uint32(record[8:]) {
			break
		}
		h.Write(p)
		s.n, s.end = s.n+1, end
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return s.end, s.f.Truncate(s.n * sumSize)
}

// add notes that p was appended, at most sumEvery bytes, and that the part is size bytes long now.
func (s *sums) add(p []byte, size int64) error {
	if size-s.end > sumEvery {
		if err := s.write(size - int64(len(p))); err != nil {
			return err
		}
	}
	s.crc = crc32.Update(s.crc, castagnoli, p)
	if size-s.end < sumEvery && time.Since(s.at) < sumAfter {
		return nil
	}
	return s.write(size)
}

// write appends the record of a piece that ends at end. A torn one is written over.
func (s *sums) write(end int64) error {
	if end == s.end {
		return nil
	}
	var record [sumSize]byte
	binary.BigEndian.PutUint64(record[:], uint64(end))
	binary.BigEndian.PutUint32(record[8:], s.crc)
	if _, err := s.f.WriteAt(record[:], s.n*sumSize); err != nil {
		return err
	}
	s.n, s.end, s.crc, s.at = s.n+1, end, 0, time.Now()
	return nil
}

// sync makes the sums of a part of so many bytes survive a power cut.
func (s *sums) sync(size int64) error {
	return errors.Join(s.write(size), s.f.Sync())
}
