// Package manifesttest makes fleets for tests: a fleet repository in a temporary folder, with cheap keys, and a source in memory.
package manifesttest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/manifest"
	"dhow/manifest/sign"
)

// Passphrase opens the keys of every fleet of this package.
const Passphrase = "four sails in the morning wind"

// Fleet is a fleet repository in a temporary folder.
type Fleet struct {
	*sign.Repository
	Name string
	Root []byte    // the first root document
	Now  time.Time // when Publish signs; tests move it
	t    testing.TB
}

// New makes a fleet. The test fails when it can't.
func New(t testing.TB, name string) *Fleet {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	dir := filepath.Join(t.TempDir(), name)
	created, err := sign.Init(dir, name, []byte(Passphrase), sign.WithWork(2), sign.WithNow(now))
	if err != nil {
		t.Fatalf("cannot make fleet %s: %v", name, err)
	}
	r, err := sign.Open(dir)
	if err != nil {
		t.Fatalf("cannot open fleet %s: %v", name, err)
	}
	return &Fleet{Repository: r, Name: name, Root: created.Root, Now: now, t: t}
}

// Release returns a small valid release document of the fleet: one service with one image of one layer and a compose file. Tests add
// what they need. The blobs do not exist anywhere.
func (f *Fleet) NewRelease(version string) *manifest.Release {
	blob := func(what string) manifest.Blob {
		s := f.Name + " " + version + " " + what
		return manifest.Blob{Digest: digest.FromString(s), Size: int64(len(s))}
	}
	layer := manifest.Layer{Blob: blob("layer"), DiffID: digest.FromString(version + " plain layer"), DiffSize: 10240}
	return &manifest.Release{
		Format: manifest.ReleaseFormat, Fleet: f.Name, Version: version, Project: "emr", Created: f.Now,
		Compose: []string{"compose.yaml"},
		Files:   []manifest.File{{Path: "compose.yaml", Mode: 0o644, Blob: blob("compose")}},
		Images: []manifest.Image{{
			Ref: "registry.example.org/app:" + version, Services: []string{"app"},
			Platforms: []manifest.PlatformImage{{
				Platform: "linux/amd64", Manifest: blob("manifest"), Config: blob("config"), Layers: []manifest.Layer{layer},
			}},
		}},
		Rollback: manifest.Rollback{Data: "restore"},
	}
}

// AddRelease puts a release into the repository; nil is NewRelease of that version.
func (f *Fleet) AddRelease(version string, r *manifest.Release) *manifest.Release {
	f.t.Helper()
	if r == nil {
		r = f.NewRelease(version)
	}
	if err := f.Repository.AddRelease(r); err != nil {
		f.t.Fatalf("cannot add release: %v", err)
	}
	return r
}

// Assign puts site into ring (made when it is not there) and pins the ring to version.
func (f *Fleet) Assign(site, ring, version string) {
	f.t.Helper()
	if err := f.Fleet().SetRing(ring, version); err != nil {
		f.t.Fatalf("cannot set ring: %v", err)
	}
	if site != "" {
		if err := f.Fleet().SetSite(site, manifest.Site{Ring: ring}); err != nil {
			f.t.Fatalf("cannot set site: %v", err)
		}
	}
	if err := f.SaveFleet(); err != nil {
		f.t.Fatalf("cannot save fleet: %v", err)
	}
}

// Publish signs at f.Now and returns the documents by path. The map is the caller's.
func (f *Fleet) Publish() map[string][]byte {
	f.t.Helper()
	d, err := f.Sign([]byte(Passphrase), f.Now)
	if err != nil {
		f.t.Fatalf("cannot sign: %v", err)
	}
	return maps.Clone(d.Files)
}

// Source serves documents from memory; it is a bundle.Source without blobs. Its zero value has nothing.
type Source struct {
	mu    sync.Mutex
	files map[string][]byte
	asked []string
	// Fail, when set, is asked first; a non-nil error is the answer.
	Fail func(path string) error
}

// NewSource returns a source with the documents.
func NewSource(files map[string][]byte) *Source { return &Source{files: maps.Clone(files)} }

// Set changes a document; nil removes it.
func (s *Source) Set(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data == nil {
		delete(s.files, path)
		return
	}
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	s.files[path] = data
}

// Asked returns the paths of all documents asked for so far, in order.
func (s *Source) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// Name is "memory".
func (s *Source) Name() string { return "memory" }

// Document implements bundle.Source and trust.Source. It does not hold itself to limit: a hostile source would not either.
func (s *Source) Document(ctx context.Context, path string, _ int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, path)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.Fail != nil {
		if err := s.Fail(path); err != nil {
			return nil, err
		}
	}
	data, ok := s.files[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return data, nil
}

// Blob has none.
func (s *Source) Blob(_ context.Context, b manifest.Blob, _ int64) (io.ReadCloser, error) {
	return nil, fmt.Errorf("%s: %w", b.Digest, fs.ErrNotExist)
}

// Close does nothing.
func (s *Source) Close() error { return nil }
