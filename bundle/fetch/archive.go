package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"dhow/bundle"
	"dhow/bundle/split"
)

// Bounds of an archive. It may unpack to freeUnpacked bytes, and beyond that to ratio times its length: more is a bomb.
const (
	maxEntries   = 1_000_000
	maxHead      = 64 << 20
	freeUnpacked = 1 << 30
	ratio        = 100
	maxTail      = 16 << 20 // zeros behind the end of the tar stream
)

// entry is a file of an archive. Links have no content.
type entry struct {
	name   string // clean, local, slash-separated
	size   int64
	link   bool
	engine bool // it stands where an engine puts the first blob
	r      io.Reader
}

// errStop ends a walk early without an error.
var errStop = errors.New("stop")

// walk reads an archive of so many bytes from front to back and calls visit for every file and symbolic link. To its end it checks names and
// kinds of all entries, lengths, and the checksums of the compression. Errors of visit are returned as they are.
func walk(ctx context.Context, f io.Reader, length int64, visit func(entry) error) error {
	z, _, err := bundle.Unpack(bundle.WithContext(ctx, f))
	if err != nil {
		return damage(ctx, err)
	}
	defer z.Close()
	spy := &eofSpy{r: z}
	t := tar.NewReader(spy)
	budget := freeUnpacked + ratio*length
	above := ""
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return damage(ctx, err)
		}
		if budget -= h.Size; budget < 0 || n >= maxEntries {
			return fmt.Errorf("its content is %w: it unpacks to far more than a bundle does", bundle.ErrTooLarge)
		}
		e, ok, err := classify(h)
		if err != nil {
			return err
		}
		if !ok {
			above = h.Name
			continue
		}
		e.engine = above == bundle.BlobsDir+"/" && h.Uname == "" && h.Gname == ""
		e.r = &entryReader{ctx, t}
		if err := visit(e); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
	return finish(ctx, spy)
}

// finish checks what stands behind the last entry: the end mark of a tar stream, and the checksum of the compression.
func finish(ctx context.Context, spy *eofSpy) error {
	if spy.eof {
		return fmt.Errorf("it is %w: cut short", bundle.ErrDamaged)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(spy, maxTail))
	if err != nil {
		return damage(ctx, err)
	}
	if n == maxTail {
		return fmt.Errorf("it is %w: something follows its end", bundle.ErrDamaged)
	}
	return nil
}

// classify judges an entry by its header. ok is false for what needs no attention.
func classify(h *tar.Header) (e entry, ok bool, err error) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return e, false, nil
	}
	name := path.Clean(h.Name)
	if name == "." && h.Typeflag == tar.TypeDir {
		return e, false, nil
	}
	if strings.HasPrefix(h.Name, "/") || !bundle.IsLocal(name) {
		return e, false, fmt.Errorf("it names %q: %w", h.Name, bundle.ErrUnsafePath)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return e, false, nil
	case tar.TypeReg:
		return entry{name: name, size: h.Size}, true, nil
	case tar.TypeSymlink:
		return entry{name: name, link: true}, true, nil
	}
	return e, false, fmt.Errorf("%q is a link or a device: %w", h.Name, bundle.ErrUnsafePath)
}

// damage classifies an error of reading an archive.
func damage(ctx context.Context, err error) error {
	var path *fs.PathError
	var part split.Damage
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &part): // names the part
		return part
	case errors.As(err, &path): // of the file itself
		return unreadable(err)
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return fmt.Errorf("it is %w: cut short", bundle.ErrDamaged)
	}
	return fmt.Errorf("it is %w: %v", bundle.ErrDamaged, err)
}

// entryReader classifies errors where they arise, so that they are told from those of whoever reads.
type entryReader struct {
	ctx context.Context
	r   io.Reader
}

func (e *entryReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if err != nil && err != io.EOF {
		err = damage(e.ctx, err)
	}
	return n, err
}

// eofSpy notes that the stream ended although more was asked for: a whole tar stream has an end mark, after which nobody asks.
type eofSpy struct {
	r   io.Reader
	eof bool
}

func (s *eofSpy) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n == 0 && err == io.EOF {
		s.eof = true
	}
	return n, err
}
