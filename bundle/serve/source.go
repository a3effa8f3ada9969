package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// Source is the shelf of a bundle or of a published folder.
type Source struct {
	Fleet    string   // as the releases say
	Releases []string // those whose documents are there, from old to new

	signed
	named  map[digest.Digest]manifest.Blob
	store  *bundle.Store // what an archive holds; nil: not an archive
	proofs proofs
}

// firstRoots is how far the first root of a bundle is looked for: one that was made at a site begins with the root that the site was given.
const firstRoots = 256

// OpenSource reads what a source holds. The documents are verified from its own first root on: who trusts that is each neighbour's business, but
// a damaged stick is found here. An archive can only be read from front to back: it is unpacked into the store that room gives, and progress,
// which may be nil, is called with the bytes of its content so far.
func OpenSource(ctx context.Context, src bundle.Source, room func() (*bundle.Store, error), progress func(done int64)) (*Source, error) {
	s := &Source{signed: signed{src, map[string]digest.Digest{}}, named: map[digest.Digest]manifest.Blob{}}
	s.proofs.read = func(b manifest.Blob) (io.ReadCloser, string, error) {
		r, err := src.Blob(context.WithoutCancel(ctx), b, 0)
		return r, "", err
	}
	if err := s.readDocuments(ctx); err != nil {
		return nil, err
	}
	stream, ok := src.(bundle.Streamer)
	if !ok {
		return s, nil
	}
	store, err := room()
	if err != nil {
		return nil, err
	}
	s.store, s.proofs.read = store, proofOf(store)
	return s, s.unpack(ctx, stream, progress)
}

func (s *Source) readDocuments(ctx context.Context) error {
	root, err := s.firstRoot(ctx)
	if err != nil {
		return err
	}
	var list struct {
		Signed struct{ Targets map[string]json.RawMessage }
	}
	w := trust.Workflow{Source: reading{&s.signed}, Trusted: trust.Trusted{Root: root}, Keep: func(role string, data []byte) error {
		if role != "targets" {
			return nil
		}
		return json.Unmarshal(data, &list)
	}}
	if err := w.Refresh(ctx); err != nil {
		return err
	}
	fetch := func(target string, limit int64) ([]byte, error) {
		info, err := w.Find(ctx, target)
		if err != nil {
			return nil, err
		}
		data, err := w.Fetch(ctx, info, limit)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return data, err
	}
	for target := range list.Signed.Targets {
		data, err := fetch(target, maxDocument)
		if err != nil {
			return err
		}
		if err := s.addDocument(target, data); err != nil {
			return err
		}
	}
	manifest.SortVersions(s.Releases)
	return nil
}

// addDocument adds what a signed document names; data is nil when that is not here.
func (s *Source) addDocument(target string, data []byte) error {
	if data == nil {
		return nil
	}
	if _, ok := manifest.ReleaseOfPath(target); ok {
		r, err := manifest.ParseRelease(data)
		if err != nil {
			return err
		}
		addRelease(s.named, r)
		s.Fleet, s.Releases = r.Fleet, append(s.Releases, r.Version)
	}
	if _, ok := manifest.WaysOfPath(target); ok {
		ways, err := manifest.ParseWays(data)
		if err != nil {
			return err
		}
		addWays(s.named, ways)
	}
	if _, ok := manifest.AgentOfPath(target); ok {
		agent, err := manifest.ParseAgent(data)
		if err != nil {
			return err
		}
		addAgent(s.named, agent)
	}
	if target == manifest.SitesPath {
		parts, err := manifest.FleetFiles{Sites: data}.Parts()
		if err != nil {
			return err
		}
		for _, part := range parts {
			s.paths[manifest.PartPath(part.Digest)] = part.Digest
		}
	}
	return nil
}

func (s *Source) firstRoot(ctx context.Context) ([]byte, error) {
	for n := int64(1); n <= firstRoots; n++ {
		data, err := reading{&s.signed}.Document(ctx, bundle.RootPath(n), maxDocument)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("%s %w", s.src.Name(), bundle.ErrNoMetadata)
}

// ErrNoRoom is an archive that could not be unpacked.
var ErrNoRoom = errors.New("cannot unpack")

func (s *Source) unpack(ctx context.Context, src bundle.Streamer, progress func(done int64)) error {
	done := int64(0)
	return src.Each(ctx, func(name string, size int64, r io.Reader) error {
		b := manifest.Blob{Digest: digest.Digest(name), Size: size}
		var err error
		if known, ok := s.named[b.Digest]; ok && known.Size == size && !s.store.Has(b) {
			if err = s.store.Put(ctx, b, r); err != nil && !errors.Is(err, bundle.ErrDamaged) {
				err = fmt.Errorf("%w: %w", ErrNoRoom, err)
			}
		} else {
			_, err = io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+name))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", src.Name(), err)
		}
		if done += size; progress != nil {
			progress(done)
		}
		return nil
	})
}

// Find implements Shelf.
func (s *Source) Find(ctx context.Context, d digest.Digest) (manifest.Blob, error) {
	b, ok := s.named[d]
	if !ok || s.store != nil && !s.store.Has(b) {
		return b, fs.ErrNotExist
	}
	if s.store != nil {
		return b, nil
	}
	r, err := s.src.Blob(ctx, b, 0)
	if err != nil {
		return b, err
	}
	return b, r.Close()
}

// Prove implements Shelf.
func (s *Source) Prove(ctx context.Context, b manifest.Blob) error { return s.proofs.prove(ctx, b) }

// Open implements Shelf.
func (s *Source) Open(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	if s.store != nil {
		return s.store.OpenRaw(b, offset)
	}
	return s.src.Blob(ctx, b, offset)
}

// About says in words what is there.
func (s *Source) About() string {
	if len(s.Releases) == 0 {
		return "no release"
	}
	return "fleet " + s.Fleet + ", release " + strings.Join(s.Releases, ", ")
}
