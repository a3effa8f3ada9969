package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A pack is a file of frames, named by its SHA-256 (hex):
//
//	"dhowpk1\n"
//	frames     stored and raw length (uint32 each), then the bytes: zstd, or as they are where both lengths are equal
//	contents   for each frame: its offset and its number of chunks (uint32 each), then for each chunk its SHA-256 and length (uint32)
//	trailer    length and CRC-32C of the contents (uint32 each), "dhowend\n"
//
// Numbers are little-endian. A frame holds whole chunks, one after the other.
const (
	packMagic   = "dhowpk1\n"
	packEnd     = "dhowend\n"
	trailerSize = 16
	frameHeader = 8
	chunkEntry  = len(digest{}) + 4

	// targetFrame is compressed at once: larger ones pack little better and are more to read for one changed page.
	targetFrame = 256 << 10
	maxRaw      = targetFrame + maxChunk
	// A pack is full when it has so many chunks, or bytes, see fullPack.
	fullChunks = 16 << 10
	// maxPack bounds what is taken for a pack.
	maxPack     = 64 << 20
	maxContents = 4 << 20
)

// fullPack is when a pack is full, in bytes. Tests make it smaller.
var fullPack int64 = 16 << 20

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// spot is where a chunk stands: at off in the frame that begins at frame in a pack.
type spot struct{ pack, frame, off uint32 }

// packed is a chunk of a pack.
type packed struct {
	ref
	frame, off uint32
}

// appendContents adds the contents and the trailer that belong behind chunks, which stand in the order of their frames.
func appendContents(b []byte, chunks []packed) []byte {
	begin := len(b)
	for i := 0; i < len(chunks); {
		n := i
		for n < len(chunks) && chunks[n].frame == chunks[i].frame {
			n++
		}
		b = le.AppendUint32(le.AppendUint32(b, chunks[i].frame), uint32(n-i))
		for ; i < n; i++ {
			b = le.AppendUint32(append(b, chunks[i].id[:]...), chunks[i].size)
		}
	}
	contents := b[begin:]
	b = le.AppendUint32(b, uint32(len(contents)))
	b = le.AppendUint32(b, crc32.Checksum(contents, castagnoli))
	return append(b, packEnd...)
}

var errPack = errors.New("it is no whole pack")

// readContents reads what a pack of that size says of its chunks.
func readContents(r io.ReaderAt, size int64) ([]packed, error) {
	var head [len(packMagic)]byte
	var tail [trailerSize]byte
	if size < int64(len(head)+len(tail)) || size > maxPack {
		return nil, errPack
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if _, err := r.ReadAt(tail[:], size-trailerSize); err != nil {
		return nil, err
	}
	length := int64(le.Uint32(tail[:]))
	end := size - trailerSize - length
	if string(head[:]) != packMagic || string(tail[8:]) != packEnd || length > maxContents || end < int64(len(head)) {
		return nil, errPack
	}
	b := make([]byte, length)
	if _, err := r.ReadAt(b, end); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != le.Uint32(tail[4:]) {
		return nil, errPack
	}
	return parseContents(b, end)
}

func parseContents(b []byte, end int64) ([]packed, error) {
	chunks := make([]packed, 0, len(b)/chunkEntry)
	least := uint32(len(packMagic))
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, errPack
		}
		frame, n := le.Uint32(b), le.Uint32(b[4:])
		b = b[8:]
		if frame < least || int64(frame) > end-frameHeader || n == 0 || uint64(n)*uint64(chunkEntry) > uint64(len(b)) {
			return nil, errPack
		}
		least = frame + frameHeader + 1
		off := uint32(0)
		for range n {
			c := packed{frame: frame, off: off, ref: ref{size: le.Uint32(b[len(digest{}):])}}
			copy(c.id[:], b)
			if c.size == 0 || c.size > maxRaw || c.size > maxRaw-off {
				return nil, errPack
			}
			off += c.size
			chunks = append(chunks, c)
			b = b[chunkEntry:]
		}
	}
	return chunks, nil
}

// readFrame reads the frame at an offset of a pack into raw.
func (z *unpacker) readFrame(r io.ReaderAt, at uint32, raw []byte) ([]byte, error) {
	var head [frameHeader]byte
	if _, err := r.ReadAt(head[:], int64(at)); err != nil {
		return nil, err
	}
	stored, size := le.Uint32(head[:]), le.Uint32(head[4:])
	if stored > size || size > maxRaw {
		return nil, errPack
	}
	z.in = grow(z.in, int(stored))
	if _, err := r.ReadAt(z.in, int64(at)+frameHeader); err != nil {
		return nil, err
	}
	if stored == size {
		return append(raw[:0], z.in...), nil
	}
	raw, err := z.zstd.DecodeAll(z.in, raw[:0])
	if err == nil && len(raw) != int(size) {
		err = errPack
	}
	return raw, err
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// openPack opens a pack and reads its contents. What is wrong with the file itself is errPack.
func openPack(path string) ([]packed, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	chunks, err := readContents(f, st.Size())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errPack
	}
	if err != nil {
		return nil, st.Size(), fmt.Errorf("cannot read pack: %w", err)
	}
	return chunks, st.Size(), nil
}
