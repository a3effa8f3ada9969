package split

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"dhow/bundle"

	"github.com/opencontainers/go-digest"
)

const (
	firstLine = "# Dhow: a bundle in parts, format "
	lastLine  = "# end, sha256 of all lines above: "
	inLine    = 8 // checksums
)

// Encode returns the text that Parse reads.
func (s *Sums) Encode() ([]byte, error) {
	if err := checkName(s.Name); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\n", firstLine, Format)
	fmt.Fprintf(&b, "# Keep all files whose names begin with %s. in one folder, and name that folder: dhow update --from FOLDER\n", s.Name)
	fmt.Fprintf(&b, "# To check them without Dhow: sha256sum -c %s\n", SumsName(s.Name))
	fmt.Fprintf(&b, "# To join them: cat %s.[0-9][0-9][0-9] > %s\n", s.Name, s.Name)
	fmt.Fprintf(&b, "# bundle %s: %d bytes, sha256 %s\n", s.Name, s.Size, s.Digest.Encoded())
	fmt.Fprintf(&b, "# parts: %d of %d bytes\n", len(s.Parts), s.Part)
	fmt.Fprintf(&b, "# parity: %d\n", len(s.Parity))
	for _, f := range s.files() {
		fmt.Fprintf(&b, "%s  %s\n", f.Digest.Encoded(), f.Name)
	}
	fmt.Fprintf(&b, "# crc32c of each %d bytes\n", Block)
	for _, f := range s.files() {
		for i, sum := range f.Blocks {
			if i%inLine == 0 {
				fmt.Fprintf(&b, "# %s", f.Name)
			}
			fmt.Fprintf(&b, " %08x", sum)
			if i%inLine == inLine-1 || i == len(f.Blocks)-1 {
				b.WriteByte('\n')
			}
		}
	}
	fmt.Fprintf(&b, "%s%s\n", lastLine, digest.FromBytes(b.Bytes()).Encoded())
	if b.Len() > MaxSums {
		return nil, fmt.Errorf("the sums of %s are %w: %d bytes, at most %d", s.Name, bundle.ErrTooLarge, b.Len(), MaxSums)
	}
	return b.Bytes(), nil
}

// errForeign: a file that something else has written.
var errForeign = fmt.Errorf("it is %w: dhowctl has not written it", bundle.ErrDamaged)

// Parse reads a .sums file. What it returns has names and lengths that fit together, and only names without a folder.
func Parse(data []byte) (*Sums, error) {
	if len(data) > MaxSums {
		return nil, fmt.Errorf("it is %w: %d bytes, at most %d", bundle.ErrTooLarge, len(data), MaxSums)
	}
	head, _, _ := bytes.Cut(data, []byte("\n"))
	number, ok := strings.CutPrefix(string(head), firstLine)
	format, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || format < 1:
		return nil, errForeign
	case format > Format:
		return nil, fmt.Errorf("its format is %d and this program reads up to %d: update dhow", format, Format)
	}
	at := bytes.LastIndex(data, []byte("\n"+lastLine)) + 1
	if at == 0 {
		return nil, fmt.Errorf("it is %w: cut short", bundle.ErrDamaged)
	}
	if string(data[at:]) != lastLine+digest.FromBytes(data[:at]).Encoded()+"\n" {
		return nil, fmt.Errorf("it is %w: it is not as it was written", bundle.ErrDamaged)
	}
	s := &Sums{}
	if err := s.read(strings.Split(string(data[:at]), "\n")); err != nil {
		return nil, err
	}
	if again, err := s.Encode(); err != nil {
		return nil, err
	} else if !bytes.Equal(again, data) {
		return nil, errForeign
	}
	return s, nil
}

// read takes what is needed from the lines; that they are as Encode writes them is compared afterwards.
func (s *Sums) read(lines []string) error {
	const fixed = 7
	if len(lines) < fixed {
		return errForeign
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(lines[4], "# bundle "), ": ")
	if err := checkName(name); err != nil {
		return err
	}
	s.Name = name
	var sum string
	var count, parity int
	_, err := fmt.Sscanf(rest+"\n"+lines[5]+"\n"+lines[6], "%d bytes, sha256 %64s\n# parts: %d of %d bytes\n# parity: %d",
		&s.Size, &sum, &count, &s.Part, &parity)
	s.Digest = digest.NewDigestFromEncoded(digest.SHA256, sum)
	if err != nil || !bundle.IsDigest(s.Digest) {
		return errForeign
	}
	if err := s.sizes(parity); err != nil {
		return fmt.Errorf("it speaks of what is %w", err)
	}
	if count != len(s.Parts) || len(lines) < fixed+len(s.files())+1 {
		return errForeign
	}
	at := map[string]*File{}
	for i, f := range s.files() {
		sum, _, _ := strings.Cut(lines[fixed+i], " ")
		if f.Digest = digest.NewDigestFromEncoded(digest.SHA256, sum); !bundle.IsDigest(f.Digest) {
			return errForeign
		}
		at[f.Name] = f
	}
	for _, line := range lines[fixed+len(s.files())+1:] {
		if err := readBlocks(at, line); err != nil {
			return err
		}
	}
	for _, f := range at {
		if len(f.Blocks) != blocks(f.Size) {
			return errForeign
		}
	}
	return nil
}

func readBlocks(files map[string]*File, line string) error {
	if line == "" {
		return nil
	}
	end := len(line)
	for i := 0; i < inLine && end > 9 && line[end-9] == ' '; i++ {
		end -= 9
	}
	f := files[strings.TrimPrefix(line[:end], "# ")]
	if f == nil {
		return errForeign
	}
	for ; end < len(line); end += 9 {
		var sum [4]byte
		if _, err := hex.Decode(sum[:], []byte(line[end+1:end+9])); err != nil {
			return errForeign
		}
		f.Blocks = append(f.Blocks, uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]))
	}
	return nil
}
