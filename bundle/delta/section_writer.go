package delta

import (
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// smallWindow is the window of all sections but the literals.
const smallWindow = 1 << 20

// sectionWriter writes sections to files, one after the other.
type sectionWriter struct {
	z     *zstd.Encoder
	out   *countingWriter
	plain int64
}

func newSectionWriter(window int) (*sectionWriter, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	return &sectionWriter{z: z}, nil
}

// begin begins a section in w.
func (s *sectionWriter) begin(w io.Writer) {
	s.out, s.plain = &countingWriter{w: w, hash: sha256.New()}, 0
	s.z.Reset(s.out)
}

// Write implements io.Writer.
func (s *sectionWriter) Write(p []byte) (int, error) {
	n, err := s.z.Write(p)
	s.plain += int64(n)
	return n, err
}

// end ends the frame and returns what the header says of the section. Of what was written only as many bytes belong to it as the
// header says: an empty section has no frame.
func (s *sectionWriter) end() (section, error) {
	if err := s.z.Close(); err != nil {
		return section{}, err
	}
	if s.plain == 0 {
		return section{sum: sha256.Sum256(nil)}, nil
	}
	return section{stored: s.out.n, plain: s.plain, sum: [sha256.Size]byte(s.out.hash.Sum(nil))}, nil
}
