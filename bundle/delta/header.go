package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"dhow/bundle"

	"github.com/opencontainers/go-digest"
)

// Format is the version of the format that this code writes and reads.
const Format = 1

// Features of a delta, as bits. A reader that does not know one can't apply the delta.
const (
	featureOpened      = 1 << 0 // holds deflate streams that are opened
	featureDifferences = 1 << 1 // holds DIFF operations
	knownFeatures      = featureOpened | featureDifferences
)

// Bounds of what a delta may declare.
const (
	maxLayers    = 256
	maxSize      = 1 << 40 // of a layer and of all layers of the base together
	maxExpansion = 16      // a side with its zips opened is at most so many times as large
	spareExpand  = 1 << 20 // and this
	maxWindow    = 8 << 20 // of a zstd frame: bounds the memory of applying
	maxSection   = 1 << 40
)

// Errors, beside bundle.ErrDamaged (the delta's bytes are not those that were made) and bundle.ErrTooLarge (it declares more than
// is allowed).
var (
	ErrUnknownFeature = errors.New("needs a newer dhow")
	ErrWrongBase      = errors.New("made for another base")
	ErrMismatch       = errors.New("does not give the layer that it is for")
)

// Identity names a layer: the digest and length of its plain tar.
type Identity struct {
	DiffID digest.Digest
	Size   int64
}

// Header says what a delta leads from and to, and what applying it costs.
type Header struct {
	Old      []Identity // the layers of the base, lowest first
	New      Identity
	Spool    int64 // bytes of disk that applying needs beside its output
	Expanded int64 // length of the new layer with its zips opened
	Window   int64 // the largest window of its zstd frames: what applying needs of memory, less some fixed MB
	Features uint32
	sections [sectionCount]section
	length   int64 // of the header
}

// The sections of a delta, in order of the file.
const (
	sectionOld         = iota // streams of the base that are opened
	sectionNew                // streams of the new layer that are opened
	sectionOps                // operations
	sectionPlaces             // where COPY and DIFF read
	sectionLiterals           // bytes of ADD
	sectionDifferences        // bytes that DIFF adds to those of the base
	sectionCount
)

var sectionNames = [sectionCount]string{"streams of the base", "streams of the layer", "operations", "places", "literals", "differences"}

// section is a part of the file: one zstd frame, or nothing when the plain content is empty.
type section struct {
	stored int64
	plain  int64
	sum    [sha256.Size]byte
	at     int64
}

var magic = []byte("\x89dhow-\xce\x94\n")

const (
	fixedHeader  = 9 + 4 + 4 + 4 // magic, version, features, count of layers
	identitySize = 32 + 8
	sectionSize  = 8 + 8 + 32
)

func headerSize(layers int) int {
	return fixedHeader + (layers+1)*identitySize + 3*8 + sectionCount*sectionSize + sha256.Size
}

// encode returns the bytes of the header.
func (h Header) encode() ([]byte, error) {
	b := append([]byte(nil), magic...)
	b = binary.BigEndian.AppendUint32(b, Format)
	b = binary.BigEndian.AppendUint32(b, h.Features)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.Old)))
	for _, l := range append(append([]Identity(nil), h.Old...), h.New) {
		sum, err := hex.DecodeString(l.DiffID.Encoded())
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%q is not a diff ID", l.DiffID)
		}
		b = append(b, sum...)
		b = binary.BigEndian.AppendUint64(b, uint64(l.Size))
	}
	for _, n := range []int64{h.Spool, h.Expanded, h.Window} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range h.sections {
		b = binary.BigEndian.AppendUint64(b, uint64(s.stored))
		b = binary.BigEndian.AppendUint64(b, uint64(s.plain))
		b = append(b, s.sum[:]...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// ReadHeader reads the header of a delta of size bytes, and checks that the file is as long as it says. It fails with
// ErrUnknownFeature, bundle.ErrDamaged or bundle.ErrTooLarge.
func ReadHeader(r io.ReaderAt, size int64) (Header, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return Header{}, fmt.Errorf("cannot read delta: %w", err)
	}
	return h, nil
}

func readHeader(r io.ReaderAt, size int64) (Header, error) {
	fixed := make([]byte, fixedHeader)
	if err := readAll(r, fixed, 0, size); err != nil {
		return Header{}, err
	}
	if !bytes.Equal(fixed[:len(magic)], magic) {
		return Header{}, fmt.Errorf("the file is %w: it does not begin as a delta", bundle.ErrDamaged)
	}
	rest := fixed[len(magic):]
	if v := binary.BigEndian.Uint32(rest); v > Format {
		return Header{}, fmt.Errorf("it has format %d and this program reads up to %d: it %w", v, Format, ErrUnknownFeature)
	} else if v != Format {
		return Header{}, fmt.Errorf("its header is %w: format %d", bundle.ErrDamaged, v)
	}
	h := Header{Features: binary.BigEndian.Uint32(rest[4:])}
	if bits := h.Features &^ knownFeatures; bits != 0 {
		return Header{}, fmt.Errorf("it uses features that this program does not know (%#x): it %w", bits, ErrUnknownFeature)
	}
	layers := binary.BigEndian.Uint32(rest[8:])
	if layers > maxLayers {
		return Header{}, fmt.Errorf("its base is %w: %d layers, at most %d", bundle.ErrTooLarge, layers, maxLayers)
	}
	all := make([]byte, headerSize(int(layers)))
	if err := readAll(r, all, 0, size); err != nil {
		return Header{}, err
	}
	body := all[:len(all)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], all[len(body):]) {
		return Header{}, fmt.Errorf("its header is %w: its checksum is wrong", bundle.ErrDamaged)
	}
	h.parse(body[fixedHeader:], int(layers))
	return h, h.check(size)
}

// readAll fills p from a file of size bytes.
func readAll(r io.ReaderAt, p []byte, at, size int64) error {
	if at+int64(len(p)) > size {
		return fmt.Errorf("the file is %w: it ends after %d bytes", bundle.ErrDamaged, size)
	}
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return fmt.Errorf("the file is %w: it ends after %d bytes", bundle.ErrDamaged, at+int64(n))
	}
	return err
}

func (h *Header) parse(b []byte, layers int) {
	number := func() int64 {
		n := int64(binary.BigEndian.Uint64(b))
		b = b[8:]
		return n
	}
	for i := range layers + 1 {
		l := Identity{DiffID: digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(b[:32]))}
		b = b[32:]
		l.Size = number()
		if i == layers {
			h.New = l
		} else {
			h.Old = append(h.Old, l)
		}
	}
	h.Spool, h.Expanded, h.Window = number(), number(), number()
	h.length = int64(headerSize(layers))
	at := h.length
	for i := range h.sections {
		s := &h.sections[i]
		s.stored, s.plain = number(), number()
		b = b[copy(s.sum[:], b):]
		s.at = at
		// A sum that overflows is refused by check, which looks at every part of it.
		at += s.stored
	}
}

// check refuses what no delta that was made well can declare. No later arithmetic with these numbers overflows.
func (h *Header) check(size int64) error {
	for _, l := range append(append([]Identity(nil), h.Old...), h.New) {
		if l.Size < 0 || l.Size > maxSize {
			return fmt.Errorf("a layer is %w: %d bytes, at most %d", bundle.ErrTooLarge, l.Size, int64(maxSize))
		}
	}
	old := h.base()
	limit := func(what string, n, most int64) error {
		if n < 0 || n > most {
			return fmt.Errorf("its %s is %w: %d bytes, at most %d", what, bundle.ErrTooLarge, n, most)
		}
		return nil
	}
	if err := errors.Join(
		limit("base", old, maxSize),
		limit("window", h.Window, maxWindow),
	); err != nil {
		return err
	}
	if err := limit("spool", h.Spool, expandLimit(old)); err != nil {
		return err
	}
	if err := limit("opened layer", h.Expanded, expandLimit(h.New.Size)); err != nil {
		return err
	}
	end := h.length
	for i, s := range h.sections {
		for _, n := range []int64{s.stored, s.plain} {
			if err := limit("section of "+sectionNames[i], n, maxSection); err != nil {
				return err
			}
		}
		if s.stored == 0 && s.plain != 0 {
			return fmt.Errorf("its section of %s is %w: it is empty and should hold %d bytes", sectionNames[i], bundle.ErrDamaged, s.plain)
		}
		end += s.stored
	}
	switch {
	case end > size:
		return fmt.Errorf("the file is %w: it has %d bytes of %d", bundle.ErrDamaged, size, end)
	case end < size:
		return fmt.Errorf("the file is %w: it has %d bytes and should have %d", bundle.ErrDamaged, size, end)
	}
	return nil
}

// expandLimit bounds what the zips in size bytes may expand to. Real ones stay far below.
func expandLimit(size int64) int64 { return maxExpansion*size + spareExpand }
