package delta

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"dhow/bundle"

	"github.com/klauspost/compress/zstd"
)

// verify reads all sections once and compares their checksums, so that nothing is begun with a file that came damaged.
func (h *Header) verify(ctx context.Context, r io.ReaderAt) error {
	for i, s := range h.sections {
		hash := sha256.New()
		n, err := io.Copy(hash, bundle.WithContext(ctx, io.NewSectionReader(r, s.at, s.stored)))
		if err != nil {
			return err
		}
		if n != s.stored || [sha256.Size]byte(hash.Sum(nil)) != s.sum {
			return fmt.Errorf("its section of %s is %w: its checksum is wrong", sectionNames[i], bundle.ErrDamaged)
		}
	}
	return nil
}

// sectionReader reads the plain content of a section, never more than the header declares.
type sectionReader struct {
	*bufio.Reader
	name string
	left *io.LimitedReader
	z    *zstd.Decoder
}

// open opens a section. The window of its frame is bounded by what the header declares.
func (h *Header) open(i int, r io.ReaderAt) (*sectionReader, error) {
	s := h.sections[i]
	out := &sectionReader{name: sectionNames[i]}
	plain := io.Reader(eof{})
	if s.stored > 0 {
		// A decoder that is told of a smaller window than a frame's least fails to start.
		window := uint64(max(h.Window, zstd.MinWindowSize))
		z, err := zstd.NewReader(io.NewSectionReader(r, s.at, s.stored), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, out.damaged(err.Error())
		}
		out.z, plain = z, z
	}
	// One byte more than declared shows a section that is longer.
	out.left = &io.LimitedReader{R: plain, N: s.plain + 1}
	out.Reader = bufio.NewReaderSize(out.left, 64<<10)
	return out, nil
}

func (s *sectionReader) close() {
	if s.z != nil {
		s.z.Close()
	}
}

func (s *sectionReader) damaged(why string) error {
	return fmt.Errorf("its section of %s is %w: %s", s.name, bundle.ErrDamaged, why)
}

// number reads a varint that is at most limit.
func (s *sectionReader) number(limit int64) (int64, error) {
	n, err := binary.ReadUvarint(s)
	if err != nil {
		return 0, s.damaged("it ends too early")
	}
	if n > uint64(limit) {
		return 0, s.damaged(fmt.Sprintf("it holds the number %d where at most %d is possible", n, limit))
	}
	return int64(n), nil
}

// offset reads a signed varint.
func (s *sectionReader) offset() (int64, error) {
	n, err := binary.ReadVarint(s)
	if err != nil {
		return 0, s.damaged("it ends too early")
	}
	return n, nil
}

// full fills p.
func (s *sectionReader) full(p []byte) error {
	if _, err := io.ReadFull(s, p); err != nil {
		return s.damaged("it ends too early")
	}
	return nil
}

// more reports whether anything is left.
func (s *sectionReader) more() (bool, error) {
	_, err := s.Peek(1)
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, s.damaged(err.Error())
	}
	return true, nil
}

// end fails unless exactly what was declared has been read.
func (s *sectionReader) end() error {
	more, err := s.more()
	if err != nil {
		return err
	}
	if more || s.left.N != 1 {
		return s.damaged("it has another length than the header says")
	}
	return nil
}

// eof is an empty reader.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
