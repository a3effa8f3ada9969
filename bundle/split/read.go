package split

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"dhow/bundle"

	"github.com/klauspost/reedsolomon"
)

// Parts is a bundle in parts that is being read. Its methods may be called from several goroutines.
type Parts struct {
	dir  string
	sums *Sums

	mu    sync.Mutex
	files []*os.File    // parts, then parity; nil for what is not there
	why   map[int]fault // by the same numbers: what is wrong with a file
	part  int           // the block that is in memory
	block int
	data  []byte // nil when there is none
	buf   []byte
	spare []byte // for rebuilding
	code  reedsolomon.Encoder
}

// Open opens the parts that a file belongs to: any part, parity or the sums, whether that file itself is there or not. It fails with
// bundle.ErrDamaged when more is missing than parity makes up for, ErrUnsafePath for links, and with the error of the system when nothing is
// there at all. The content of the parts is not read yet.
func Open(path string) (*Parts, error) {
	dir, file := filepath.Split(path)
	name, ok := Of(file)
	if !ok {
		return nil, fmt.Errorf("internal error: %q is no part", file)
	}
	p := &Parts{dir: filepath.Clean(dir), why: map[int]fault{}}
	data, err := readSums(p.dir, SumsName(name))
	if errors.Is(err, fs.ErrNotExist) && anyOf(p.dir, name) {
		return nil, damaged("%s is missing, which says what belongs together: copy it too", SumsName(name))
	}
	if err != nil {
		return nil, err
	}
	if p.sums, err = Parse(data); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", SumsName(name), err)
	}
	if p.sums.Name != name {
		return nil, damaged("%s speaks of %s: give it its name back", SumsName(name), p.sums.Name)
	}
	err = p.openFiles()
	if err == nil && p.missing() > len(p.sums.Parity) {
		err = p.tooMany()
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// anyOf reports whether a file of a bundle is there.
func anyOf(dir, bundle string) bool {
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		of, ok := Of(e.Name())
		return ok && of == bundle
	})
}

func readSums(dir, name string) ([]byte, error) {
	f, info, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > MaxSums {
		return nil, fmt.Errorf("%s is %w: %d bytes, at most %d", name, bundle.ErrTooLarge, info.Size(), MaxSums)
	}
	return io.ReadAll(io.LimitReader(f, MaxSums+1))
}

// openRegular opens a file that is no link, no folder and no pipe.
func openRegular(dir, name string) (*os.File, os.FileInfo, error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is a link or no file: %w", name, bundle.ErrUnsafePath)
	}
	root, err := os.OpenRoot(dir) // also when it has become a link since
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, nil, fmt.Errorf("%s is a link or no file: %w", name, bundle.ErrUnsafePath)
	}
	return f, info, nil
}

// openFiles opens what is there, and notes what is not.
func (p *Parts) openFiles() error {
	p.buf, p.spare = make([]byte, Block), make([]byte, Block)
	if p.why == nil {
		p.why = map[int]fault{}
	}
	for i, want := range p.sums.files() {
		f, info, err := openRegular(p.dir, want.Name)
		if err == nil && info.Size() != want.Size {
			_ = f.Close()
			f, p.why[i] = nil, fault(fmt.Sprintf("has %d bytes, not %d", info.Size(), want.Size))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.why[i] = missing
		case errors.Is(err, bundle.ErrUnsafePath):
			return err
		case err != nil:
			p.why[i] = fault("can't be read")
		}
		p.files = append(p.files, f)
	}
	return nil
}

// missing counts the files that are not there at all.
func (p *Parts) missing() (n int) {
	for _, f := range p.files {
		if f == nil {
			n++
		}
	}
	return n
}

// Path is where the bundle would stand if it were whole.
func (p *Parts) Path() string { return filepath.Join(p.dir, p.sums.Name) }

// Sums says what the parts should be.
func (p *Parts) Sums() *Sums { return p.sums }

// Size is the length of the bundle in bytes.
func (p *Parts) Size() int64 { return p.sums.Size }

// Reader reads the bundle from its beginning, or from where it is told to.
func (p *Parts) Reader() *io.SectionReader { return io.NewSectionReader(p, 0, p.sums.Size) }

// Close closes all files.
func (p *Parts) Close() (err error) {
	for _, f := range p.files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// ReadAt implements io.ReaderAt. It fails with bundle.ErrDamaged, naming the part, where a block is not what it was and can't be rebuilt.
func (p *Parts) ReadAt(b []byte, off int64) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		at := off + int64(n)
		if at < 0 || at >= p.sums.Size {
			return n, io.EOF
		}
		part := int(at / p.sums.Part)
		at -= int64(part) * p.sums.Part
		data, err := p.get(part, int(at/Block))
		if err != nil {
			return n, err
		}
		n += copy(b[n:], data[at%Block:])
	}
	return n, nil
}

// get returns a block of a part.
func (p *Parts) get(part, block int) ([]byte, error) {
	if p.data != nil && p.part == part && p.block == block {
		return p.data, nil
	}
	p.data = nil
	data, err := p.readBlock(part, block, p.buf)
	if err != nil {
		p.note(part, err)
		data, err = p.rebuild(part, block, err)
	}
	if err != nil {
		return nil, err
	}
	p.part, p.block, p.data = part, block, data
	return data, nil
}

// errBlock: a block is not what it was.
var errBlock = damaged("a block has changed")

// length is that of a block of a file, 0 when the file ends before it.
func (p *Parts) length(file, block int) int64 {
	return max(0, min(Block, p.sums.files()[file].Size-int64(block)*Block))
}

// readBlock reads and compares a block of a file. It returns nothing of a file that ends before that block.
func (p *Parts) readBlock(file, block int, buf []byte) ([]byte, error) {
	f := p.files[file]
	buf = buf[:p.length(file, block)]
	switch {
	case len(buf) == 0: // the file ends before, and counts as filled up with zeros
		return buf, nil
	case f == nil:
		return nil, errBlock
	}
	if _, err := f.ReadAt(buf, int64(block)*Block); err == io.EOF {
		return nil, errBlock
	} else if err != nil {
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != p.sums.files()[file].Blocks[block] {
		return nil, errBlock
	}
	return buf, nil
}

// rebuild returns a block of a part that can't be read, whose error is cause. It reads the same block of all others.
func (p *Parts) rebuild(part, block int, cause error) ([]byte, error) {
	count := len(p.sums.Parts)
	lost := []int{part}
	var rows []int
	for i, f := range p.files {
		switch {
		case i >= count && f != nil:
			rows = append(rows, i-count)
		case i < count && f == nil && i != part && p.length(i, block) > 0:
			lost = append(lost, i)
		}
	}
	for {
		if len(lost) > len(rows) {
			if system := (*fs.PathError)(nil); errors.As(cause, &system) {
				return nil, cause
			}
			return nil, p.tooMany()
		}
		bad, err := p.combine(lost, rows[:len(lost)], block)
		switch {
		case err == nil:
			data := p.buf[:p.length(part, block)]
			if crc32.Checksum(data, castagnoli) != p.sums.Parts[part].Blocks[block] {
				return nil, p.tooMany()
			}
			return data, nil
		case bad < count:
			lost = append(lost, bad)
		default:
			rows = slices.DeleteFunc(rows, func(r int) bool { return r == bad-count })
		}
		p.note(bad, err)
	}
}

// combine puts into p.buf what a block of lost[0] is by those of the other parts and by parity. It fails with the file that it can't read.
func (p *Parts) combine(lost, rows []int, block int) (bad int, err error) {
	code, err := p.coder()
	if err != nil {
		return lost[0], err
	}
	count, length := len(p.sums.Parts), p.length(0, block)
	expected := make([]bool, count+len(p.sums.Parity))
	for file := range expected {
		expected[file] = file < count && !slices.Contains(lost, file) || file >= count && slices.Contains(rows, file-count)
	}
	out := make([][]byte, len(expected))
	out[lost[0]] = p.buf[:length]
	clear(p.buf)
	in := make([][]byte, len(expected)) // one at a time: there may be hundreds of parts
	for file, wanted := range expected {
		if !wanted {
			continue
		}
		data, err := p.readBlock(file, block, p.spare)
		if err != nil {
			return file, err
		}
		in[file] = padded(p.spare, len(data), length)
		if err := code.(reedsolomon.Extensions).DecodeIdx(out, expected, in); err != nil {
			return lost[0], fmt.Errorf("internal error: %w", err)
		}
		in[file] = nil
	}
	return 0, nil
}

// coder makes and uses parity.
func (p *Parts) coder() (reedsolomon.Encoder, error) {
	if p.code == nil {
		code, err := reedsolomon.New(len(p.sums.Parts), len(p.sums.Parity), reedsolomon.WithCauchyMatrix(), reedsolomon.WithMaxGoroutines(1))
		if err != nil {
			return nil, fmt.Errorf("internal error: %w", err)
		}
		p.code = code
	}
	return p.code, nil
}

// padded is the first n bytes of buf, filled up with zeros: parts that are shorter than the first count so.
func padded(buf []byte, n int, length int64) []byte {
	clear(buf[n:length])
	return buf[:length]
}
