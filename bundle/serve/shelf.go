package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// Shelf is what is given away.
type Shelf interface {
	// Document is that of bundle.Source.
	Document(ctx context.Context, path string, limit int64) ([]byte, error)
	// Find describes content that a signed document known here names and that is here. It fails with fs.ErrNotExist for everything else.
	Find(ctx context.Context, d digest.Digest) (manifest.Blob, error)
	// Prove reads content whole and compares it, unless that was done since it came. It fails with bundle.ErrDamaged.
	Prove(ctx context.Context, b manifest.Blob) error
	// Open opens content that was found and proved.
	Open(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error)
}

// site is the shelf of a site: its store, and the documents of its trust folder.
type site struct {
	*trust.Client
	store  *bundle.Store
	proofs proofs

	mu    sync.Mutex
	named map[digest.Digest]manifest.Blob
	when  time.Time // monotonic, when named was made
}

// lookAgain is how often at most the documents are read anew because of content that no known one names.
const lookAgain = time.Second

// Site is the shelf of a site.
func Site(store *bundle.Store, documents *trust.Client) Shelf {
	s := &site{Client: documents, store: store}
	s.proofs.read = proofOf(store)
	return s
}

func (s *site) Find(ctx context.Context, d digest.Digest) (manifest.Blob, error) {
	// What is not here costs nobody more than this look.
	if _, err := os.Stat(filepath.Join(s.store.Dir(), filepath.FromSlash(bundle.BlobPath(d)))); err != nil {
		return manifest.Blob{}, err
	}
	b, err := s.find(ctx, d)
	if err == nil && !s.store.Has(b) {
		err = fs.ErrNotExist
	}
	return b, err
}

// find looks whether a document names d. All are read again when none does: there may be new ones.
func (s *site) find(ctx context.Context, d digest.Digest) (manifest.Blob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.named[d]
	if !ok && (s.named == nil || time.Since(s.when) >= lookAgain) {
		releases, err := s.Here()
		if err != nil {
			return b, err
		}
		s.named, s.when = map[digest.Digest]manifest.Blob{}, time.Now()
		for _, r := range releases {
			addRelease(s.named, r)
			if ways, err := s.Ways(ctx, nil, r.Version); err == nil { // else there are none, or not here
				addWays(s.named, ways)
			}
		}
		if current, err := s.Current(); err == nil {
			for _, v := range current.Fleet.AgentsOf() {
				if a, err := s.Agent(ctx, nil, v); err == nil {
					addAgent(s.named, a)
				}
			}
		}
		b, ok = s.named[d]
	}
	if !ok {
		return b, fs.ErrNotExist
	}
	return b, nil
}

func (s *site) Prove(ctx context.Context, b manifest.Blob) error { return s.proofs.prove(ctx, b) }

func (s *site) Open(_ context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	return s.store.OpenRaw(b, offset)
}

// addRelease adds all content of a release for every platform, without image manifests, which no site asks for.
func addRelease(named map[digest.Digest]manifest.Blob, r *manifest.Release) {
	add := func(b manifest.Blob) { named[b.Digest] = b }
	for _, f := range r.Files {
		add(f.Blob)
	}
	for _, i := range r.Images {
		for _, p := range i.Platforms {
			add(p.Config)
			for _, l := range p.Layers {
				add(l.Blob)
				add(manifest.Blob{Digest: l.DiffID, Size: l.DiffSize})
			}
		}
	}
}

func addWays(named map[digest.Digest]manifest.Blob, ways *manifest.Ways) {
	for _, b := range ways.Blobs() {
		named[b.Digest] = b
	}
}

// addAgent adds the programs of a version of the agent, packed and as they are, and the deltas to them.
func addAgent(named map[digest.Digest]manifest.Blob, a *manifest.Agent) {
	for _, b := range a.Blobs() {
		named[b.Digest] = b
	}
	for _, p := range a.Platforms {
		named[p.Digest] = manifest.Blob{Digest: p.Digest, Size: p.Size}
	}
}

// proofs remembers which content was read whole and was right. One is read at a time, and goes on when nobody waits for it any more: a
// neighbour whose patience is shorter than a slow disk finds it done when it asks again.
type proofs struct {
	read func(b manifest.Blob) (r io.ReadCloser, stamp string, err error)
	busy sync.Mutex

	mu   sync.Mutex
	done map[digest.Digest]*proof
}

// proofOf reads what is in a store.
func proofOf(store *bundle.Store) func(b manifest.Blob) (io.ReadCloser, string, error) {
	return func(b manifest.Blob) (io.ReadCloser, string, error) {
		f, err := store.OpenRaw(b, 0)
		if err != nil {
			return nil, "", err
		}
		info, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, "", err
		}
		return f, info.ModTime().String(), nil
	}
}

type proof struct {
	stamp string        // of the file that was read
	ended chan struct{} // closed at the end
	err   error
}

func (p *proofs) prove(ctx context.Context, b manifest.Blob) error {
	r, stamp, err := p.read(b)
	if err != nil {
		return err
	}
	p.mu.Lock()
	known := p.done[b.Digest]
	if known == nil || known.stamp != stamp {
		known = &proof{stamp: stamp, ended: make(chan struct{})}
		if p.done == nil {
			p.done = map[digest.Digest]*proof{}
		}
		p.done[b.Digest] = known
		go p.run(b, known, r)
	} else {
		_ = r.Close()
	}
	p.mu.Unlock()
	select {
	case <-known.ended:
		return known.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *proofs) run(b manifest.Blob, known *proof, r io.ReadCloser) {
	p.busy.Lock()
	defer p.busy.Unlock()
	defer close(known.ended)
	defer r.Close()
	_, known.err = io.Copy(io.Discard, bundle.NewVerifier(r, b, "blob "+b.Digest.String()))
	if known.err == nil || errors.Is(known.err, bundle.ErrDamaged) {
		return
	}
	known.err = fmt.Errorf("cannot read blob %s: %w", b.Digest, known.err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done[b.Digest] == known { // the disk may do better another time
		delete(p.done, b.Digest)
	}
}
