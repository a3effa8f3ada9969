package split

import (
	"fmt"
	"strings"

	"dhow/bundle"

	"github.com/opencontainers/go-digest"
)

// Format is the newest format of Sums that this code reads.
const Format = 1

// Limits. Sizes are in bytes.
const (
	MaxParts  = 999
	MaxParity = 20
	MinPart   = 1_000_000
	MaxPart   = 4<<30 - 1 // FAT
	MaxSums   = 8 << 20
	maxCoded  = 255 // parts and parity together, where there is parity
	maxName   = 200

	// Block is the piece that has a checksum of its own, and that is rebuilt.
	Block = 1 << 20
)

// Sums says what the parts of a bundle are. Its text is read by people, by "sha256sum -c", for which all but the lines of the files are
// comments, and by Parse:
//
//	# Dhow: a bundle in parts, format 1
//	# (three lines for people)
//	# bundle emr.tgz: 5000000000 bytes, sha256 HEX
//	# parts: 3 of 2000000000 bytes
//	# parity: 1
//	HEX  emr.tgz.001
//	…
//	# crc32c of each 1048576 bytes
//	# emr.tgz.001 XXXXXXXX XXXXXXXX …     at most 8 in a line
//	# end, sha256 of all lines above: HEX
type Sums struct {
	Name   string        // of the bundle, without a folder
	Size   int64         // of the bundle
	Digest digest.Digest // of the bundle
	Part   int64         // length of all parts but the last
	Parts  []File
	Parity []File
}

// File is a part, or parity.
type File struct {
	Name   string
	Size   int64
	Digest digest.Digest
	Blocks []uint32 // CRC-32C of each block
}

// partName is the name of part n, from 0 on, or of parity n.
func partName(bundle string, n int, parity bool) string {
	if parity {
		return fmt.Sprintf("%s.p%02d", bundle, n+1)
	}
	return fmt.Sprintf("%s.%03d", bundle, n+1)
}

// SumsName is the name of the file that holds the sums of a bundle.
func SumsName(bundle string) string { return bundle + ".sums" }

// Of returns the bundle that a file belongs to by its name, and false when it is not named like a part, parity or sums.
func Of(file string) (bundle string, ok bool) {
	dot := strings.LastIndexByte(file, '.')
	if dot <= 0 {
		return "", false
	}
	bundle, end := file[:dot], file[dot+1:]
	switch {
	case end == "sums":
		return bundle, true
	case len(end) == 3 && (end[0] == 'p' || isDigit(end[0])) && isDigit(end[1]) && isDigit(end[2]) && end[1:] != "00":
		return bundle, true
	case len(end) == 3 && isDigit(end[0]) && end[1:] == "00" && end != "000":
		return bundle, true
	}
	return "", false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// sizes fills in the names and lengths of all files. It fails when there would be too many.
func (s *Sums) sizes(parity int) error {
	if s.Size < 1 || s.Part < 1 || s.Part > MaxPart {
		return fmt.Errorf("%w: %d bytes in parts of %d", bundle.ErrDamaged, s.Size, s.Part)
	}
	count := (s.Size-1)/s.Part + 1
	switch {
	case count > MaxParts:
		return fmt.Errorf("%w: %d parts, at most %d", bundle.ErrTooLarge, count, MaxParts)
	case parity < 0 || parity > MaxParity:
		return fmt.Errorf("%w: %d parity parts, at most %d", bundle.ErrTooLarge, parity, MaxParity)
	case parity > 0 && count+int64(parity) > maxCoded:
		return fmt.Errorf("%w: %d parts with parity, at most %d", bundle.ErrTooLarge, count+int64(parity), maxCoded)
	}
	s.Parts, s.Parity = make([]File, count), make([]File, parity)
	for i := range s.Parts {
		s.Parts[i] = File{Name: partName(s.Name, i, false), Size: min(s.Part, s.Size-int64(i)*s.Part)}
	}
	for i := range s.Parity {
		s.Parity[i] = File{Name: partName(s.Name, i, true), Size: s.Parts[0].Size}
	}
	return nil
}

// files are all files that belong together.
func (s *Sums) files() []*File {
	list := make([]*File, 0, len(s.Parts)+len(s.Parity))
	for i := range s.Parts {
		list = append(list, &s.Parts[i])
	}
	for i := range s.Parity {
		list = append(list, &s.Parity[i])
	}
	return list
}

// blocks is how many blocks a length has.
func blocks(size int64) int { return int((size + Block - 1) / Block) }

func checkName(name string) error {
	switch {
	case name != "" && (!bundle.IsLocal(name) || strings.ContainsAny(name, "/\n\r")):
		return fmt.Errorf("it speaks of a file %.80q: %w", name, bundle.ErrUnsafePath)
	case name == "" || len(name) > maxName || strings.HasPrefix(name, "."):
		return fmt.Errorf("it speaks of a file %.80q: %w", name, bundle.ErrDamaged)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return fmt.Errorf("it speaks of a file %.80q: %w", name, bundle.ErrUnsafePath)
		}
	}
	return nil
}
