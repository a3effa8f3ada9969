package split

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"dhow/bundle"
	"dhow/bundle/durable"

	"github.com/opencontainers/go-digest"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Options of Write.
type Options struct {
	Size   int64 // of a part, MinPart to MaxPart bytes
	Parity int   // so many parts may be lost or damaged; 0 to MaxParity
	// Expect is about how long the bundle will be, to refuse at once what would not fit into the numbers; 0 when nobody knows.
	Expect int64
}

// check fails when a bundle can't be written so.
func (o Options) check(name string) error {
	if o.Size < MinPart || o.Size > MaxPart {
		return fmt.Errorf("parts of %d bytes: they have %d at least and %d at most, the longest file that FAT takes", o.Size, MinPart, int64(MaxPart))
	}
	s := &Sums{Name: name, Size: max(o.Expect, 1), Part: o.Size}
	return errors.Join(checkName(name), s.sizes(o.Parity))
}

// Write writes what fill writes as parts beside path, the name that the whole would have. They take the place of parts of that name that
// are there before once they are whole: until then both need room. When it fails nothing changes.
func Write(ctx context.Context, path string, o Options, fill func(io.Writer) error) (*Sums, error) {
	if err := o.check(filepath.Base(path)); err != nil {
		return nil, err
	}
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	aside := filepath.Join(dir, durable.TempPrefix+name)
	if err := os.RemoveAll(aside); err != nil { // what a Write that was cut has left
		return nil, err
	}
	if err := os.Mkdir(aside, 0o755); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(aside) }() // what can't be removed has a name that nobody reads
	w := &writer{ctx: ctx, dir: aside, sums: &Sums{Name: name, Part: o.Size}, whole: digest.SHA256.Hash()}
	err := w.parts(fill)
	if err == nil {
		err = w.finish(o)
	}
	if errors.Is(err, syscall.ENOSPC) && anyOf(dir, name) {
		return nil, fmt.Errorf("%w: the parts of %s that are there already are kept, and need room too: remove them first", err, name)
	}
	if err != nil {
		return nil, err
	}
	return w.sums, w.place(dir)
}

// place puts all files where they belong, in place of those that are there: the sums go first and come last.
func (w *writer) place(dir string) error {
	if err := remove(filepath.Join(dir, w.sums.Name)); err != nil {
		return err
	}
	names := []string{}
	for _, f := range w.sums.files() {
		names = append(names, f.Name)
	}
	for _, name := range append(names, SumsName(w.sums.Name)) {
		if err := durable.Rename(filepath.Join(w.dir, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the parts of the bundle that would be at path, the sums first.
func remove(path string) error {
	dir := filepath.Dir(path)
	if err := os.Remove(SumsName(path)); err == nil {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if of, ok := Of(e.Name()); ok && of == filepath.Base(path) && e.Type().IsRegular() {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// writer is one call of Write.
type writer struct {
	ctx   context.Context
	dir   string // where the files are until they are whole
	sums  *Sums
	whole hash.Hash
}

// parts cuts what fill writes.
func (w *writer) parts(fill func(io.Writer) error) error {
	pr, pw := io.Pipe()
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		_ = pw.CloseWithError(fill(pw)) // EOF for nil
	}()
	defer func() { <-filled }()
	defer pr.Close()
	r := bufio.NewReaderSize(bundle.WithContext(w.ctx, pr), 64<<10)
	for n := 0; ; n++ {
		if _, err := r.Peek(1); err == io.EOF && n > 0 {
			return nil
		} else if err != nil {
			return err
		}
		if n == MaxParts {
			return fmt.Errorf("it has more than %d parts of %d bytes: ask for longer ones", MaxParts, w.sums.Part)
		}
		f := File{Name: partName(w.sums.Name, n, false)}
		err := w.file(&f, func(out io.Writer) error {
			size, err := io.Copy(out, io.LimitReader(r, w.sums.Part))
			w.sums.Size += size
			return err
		}, w.whole)
		if err != nil {
			return err
		}
		w.sums.Parts = append(w.sums.Parts, f)
	}
}

// file puts one file in place and notes its checksums.
func (w *writer) file(f *File, fill func(io.Writer) error, also ...io.Writer) error {
	sum, blocks := digest.SHA256.Hash(), &blockSums{}
	also = append(also, sum, blocks)
	err := durable.Write(filepath.Join(w.dir, f.Name), 0o644, func(out io.Writer) error {
		return fill(io.MultiWriter(append(also, out)...))
	})
	f.Digest, f.Blocks = digest.NewDigest(digest.SHA256, sum), blocks.end()
	return err
}

// finish writes the parity and then the sums.
func (w *writer) finish(o Options) error {
	s := &Sums{Name: w.sums.Name, Size: w.sums.Size, Part: w.sums.Part, Digest: digest.NewDigest(digest.SHA256, w.whole)}
	if err := s.sizes(o.Parity); err != nil {
		return err
	}
	for i, f := range w.sums.Parts {
		s.Parts[i].Digest, s.Parts[i].Blocks = f.Digest, f.Blocks
	}
	w.sums = s
	if o.Parity > 0 {
		if err := w.parity(nil); err != nil {
			return err
		}
	}
	data, err := s.Encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(w.dir, SumsName(s.Name)), data, 0o644)
}

// parity opens the files of parity one inside the other, and then fills them all.
func (w *writer) parity(outs []io.Writer) error {
	n := len(outs)
	if n == len(w.sums.Parity) {
		return w.encode(outs)
	}
	return w.file(&w.sums.Parity[n], func(out io.Writer) error { return w.parity(append(outs, out)) })
}

// encode reads all parts back, block by block beside each other: what a bad stick has not kept shows here already.
func (w *writer) encode(outs []io.Writer) error {
	p := &Parts{dir: w.dir, sums: w.sums}
	defer p.Close()
	if err := p.openFiles(); err != nil {
		return err
	}
	code, err := p.coder()
	if err != nil {
		return err
	}
	block, sums := make([]byte, Block), make([][]byte, len(outs))
	for i := range sums {
		sums[i] = make([]byte, Block)
	}
	for n := range blocks(w.sums.Parts[0].Size) {
		length := p.length(0, n)
		for i := range sums {
			sums[i] = sums[i][:length]
			clear(sums[i])
		}
		for j := range w.sums.Parts {
			if err := w.ctx.Err(); err != nil {
				return context.Cause(w.ctx)
			}
			got, err := p.readBlock(j, n, block)
			if err != nil {
				return fmt.Errorf("part %s does not read back as it was written, the stick may be broken: %w", p.label(j), err)
			}
			if err := code.EncodeIdx(padded(block, len(got), length), j, sums); err != nil {
				return fmt.Errorf("internal error: %w", err)
			}
		}
		for i, out := range outs {
			if _, err := out.Write(sums[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockSums computes the checksum of each block of what is written to it.
type blockSums struct {
	sums []uint32
	now  uint32
	n    int
}

func (b *blockSums) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		piece := p[:min(len(p), Block-b.n)]
		b.now, b.n, p = crc32.Update(b.now, castagnoli, piece), b.n+len(piece), p[len(piece):]
		if b.n == Block {
			b.end()
		}
	}
	return all, nil
}

// end closes the block that has begun, and returns all.
func (b *blockSums) end() []uint32 {
	if b.n > 0 {
		b.sums = append(b.sums, b.now)
	}
	b.now, b.n = 0, 0
	return b.sums
}
