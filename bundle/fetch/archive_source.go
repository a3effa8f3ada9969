package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"dhow/bundle"
	"dhow/bundle/split"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// archive is a bundle file, whole or in parts, or a file of docker save. Documents are read when it is opened; blobs stream by.
type archive struct {
	path  string
	open  func() (r io.ReadCloser, length int64, err error)
	parts *split.Parts // nil for a whole file
	save  bool         // of docker save: names say nothing, and there is no signed manifest
	docs  map[string][]byte

	distance Distance
}

func openArchive(ctx context.Context, path string) (bundle.Source, error) {
	a := &archive{path: path, open: func() (io.ReadCloser, int64, error) { return openFile(path) }}
	if inParts(path) {
		parts, err := split.Open(path)
		if err != nil {
			return nil, partsError(err)
		}
		a.path, a.parts = parts.Path(), parts
		a.open = func() (io.ReadCloser, int64, error) { return io.NopCloser(parts.Reader()), parts.Size(), nil }
	}
	err := a.readHead(func(visit func(entry) error) error { return a.walk(ctx, visit) })
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	a.distance = pathDistance(a.path)
	return a, nil
}

func openFile(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, unreadable(err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, unreadable(err)
	}
	return f, info.Size(), nil
}

// walk reads the archive from front to back, see the function walk.
func (a *archive) walk(ctx context.Context, visit func(entry) error) error {
	type opened struct {
		io.ReadCloser
		length int64
	}
	f, err := wait(ctx, paths, a.path, func() (f opened, err error) {
		f.ReadCloser, f.length, err = a.open()
		return f, err
	}, func(f opened) { _ = f.Close() })
	if err != nil {
		return err
	}
	r := &patientFile{ctx: ctx, p: paths, path: a.path, r: f.ReadCloser}
	defer r.Close()
	return walk(ctx, r, f.length, visit)
}

// saveName matches what docker save of old engines and its likes write first.
var saveName = regexp.MustCompile(`^[0-9a-f]{64}(/(VERSION|json|layer\.tar)|\.json|\.tar)$`)

// readHead reads the documents. They stand before the first blob; when somebody packed a folder again in another order, everything is
// read. New engines write blobs first, too, but as nobody's and not below "./", which tools that pack a folder don't do: so that the gigabytes
// of docker save are read once, they are recognised by that.
func (a *archive) readHead(walk func(visit func(entry) error) error) error {
	a.docs = map[string][]byte{}
	var total int64
	var foreign, link string
	first := true
	err := walk(func(e entry) error {
		_, blob := bundle.BlobOf(e.name)
		engine := first && blob && e.engine
		first = false
		switch {
		case engine:
			a.save = true
			return errStop
		case e.link:
			link = e.name
			return nil
		case blob && a.docs[bundle.TimestampPath] != nil:
			return errStop
		case blob:
			return nil
		case !bundle.IsDocument(e.name):
			foreign = e.name
			if len(a.docs) == 0 && saveName.MatchString(e.name) {
				a.save = true
				return errStop
			}
			return nil
		}
		if total += e.size; total > maxHead || len(a.docs) >= maxDocuments {
			return fmt.Errorf("its documents are %w: more than %d bytes or %d files", bundle.ErrTooLarge, maxHead, maxDocuments)
		}
		if a.docs[e.name] != nil {
			return fmt.Errorf("it is %w: it holds %s twice", bundle.ErrDamaged, e.name)
		}
		data, err := io.ReadAll(e.r)
		if err != nil {
			return err
		}
		a.docs[e.name] = append([]byte{}, data...)
		return nil
	})
	if err != nil {
		return err
	}
	return a.recognise(foreign, link)
}

func (a *archive) recognise(foreign, link string) error {
	for p := range a.docs {
		if p != bundle.HintPath && !strings.HasPrefix(p, bundle.MetadataDir+"/") {
			continue
		}
		if foreign != "" {
			return fmt.Errorf("it names %q, which has no place in a bundle: %w", foreign, bundle.ErrUnsafePath)
		}
		if link != "" {
			return fmt.Errorf("%q is a link: %w", link, bundle.ErrUnsafePath)
		}
		return nil
	}
	if !a.save && a.docs[bundle.DockerManifestPath] == nil {
		return fmt.Errorf("it %w, and docker save has not written it either", bundle.ErrNoMetadata)
	}
	a.save, a.docs = true, nil
	return nil
}

func (a *archive) Name() string { return a.path }

// Distance is that of the computer that has the file.
func (a *archive) Distance() Distance { return a.distance }

func (a *archive) Close() error {
	if a.parts != nil {
		return a.parts.Close()
	}
	return nil
}

func (a *archive) Document(_ context.Context, path string, limit int64) ([]byte, error) {
	if a.save {
		return nil, fmt.Errorf("%s: cannot read %s: the file of docker save %w", a.path, path, bundle.ErrNoMetadata)
	}
	data, ok := a.docs[path]
	if !ok {
		return nil, fmt.Errorf("%s: cannot read %s: %w", a.path, path, absent("it is not there"))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %s is %w: %d bytes, at most %d", a.path, path, bundle.ErrTooLarge, len(data), limit)
	}
	return append([]byte{}, data...), nil
}

// Each implements bundle.Streamer. It reads to the end even when nothing is left to take, so that an archive which is damaged or names paths
// outside its folder is refused wherever that stands.
func (a *archive) Each(ctx context.Context, take func(d string, size int64, r io.Reader) error) error {
	return a.walk(ctx, func(e entry) error {
		d, blob := bundle.BlobOf(e.name)
		switch {
		case a.save && (e.link || bundle.IsDocument(e.name)): // docker save links layers that it has written before
			return nil
		case a.save:
			return take("", e.size, e.r)
		case e.link:
			return fmt.Errorf("%q is a link: %w", e.name, bundle.ErrUnsafePath)
		case blob:
			return take(d.String(), e.size, e.r)
		case !bundle.IsDocument(e.name):
			return fmt.Errorf("it names %q, which has no place in a bundle: %w", e.name, bundle.ErrUnsafePath)
		}
		return nil
	})
}

// Blob reads the archive up to b. Blobs uses Each instead.
func (a *archive) Blob(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	if a.save {
		return nil, fmt.Errorf("blob %s: %w", b.Digest, errors.ErrUnsupported)
	}
	ctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	go func() {
		err := a.Each(ctx, func(d string, _ int64, r io.Reader) error {
			if digest.Digest(d) != b.Digest {
				return nil
			}
			if _, err := io.CopyN(io.Discard, r, offset); err != nil {
				return err
			}
			if _, err := io.Copy(pw, r); err != nil {
				return err
			}
			_ = pw.Close()
			return errStop
		})
		if err == nil {
			err = absent("it does not hold blob " + b.Digest.String())
		}
		_ = pw.CloseWithError(err) // does nothing after Close
		cancel()
	}()
	return &pipe{pr, cancel}, nil
}

// pipe stops its writer when it is closed.
type pipe struct {
	*io.PipeReader
	cancel func()
}

func (p *pipe) Close() error {
	p.cancel()
	return p.PipeReader.Close()
}
