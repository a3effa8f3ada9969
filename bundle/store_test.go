package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/durable"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

var ctx = context.Background()

// tree lists all files of a store with slashes, but for the two folders themselves.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestPutAndRead(t *testing.T) {
	for _, data := range [][]byte{{}, []byte("a"), bundletest.Bytes(1, 300_000)} {
		s := bundletest.Store(t)
		b := bundletest.BlobOf(data)
		if s.Has(b) {
			t.Fatal("an empty store has it")
		}
		if err := s.Put(ctx, b, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if !s.Has(b) {
			t.Error("it is not there")
		}
		got, err := s.Read(b, b.Size)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, error %v", len(got), err)
		}
		if want := "blobs/sha256/" + b.Digest.Encoded(); tree(t, s.Dir()) != want {
			t.Errorf("store holds %q", tree(t, s.Dir()))
		}
		if s.Has(manifest.Blob{Digest: b.Digest, Size: b.Size + 1}) {
			t.Error("a blob of another size is there")
		}
	}
}

func TestPutRefusesOtherContent(t *testing.T) {
	good := []byte("the content")
	b := bundletest.BlobOf(good)
	for _, c := range []struct{ name, data, want string }{
		{"shorter", "the conten", "it has 10 bytes, not 11"},
		{"longer", "the content!", "longer than the 11 bytes that it should have"},
		{"empty", "", "it has 0 bytes, not 11"},
		{"flipped", "The content", "its content has the digest sha256:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bundletest.Store(t)
			err := s.Put(ctx, b, strings.NewReader(c.data))
			if !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if got := tree(t, s.Dir()); got != "" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

func TestPutKeepsErrorsOfTheReader(t *testing.T) {
	s := bundletest.Store(t)
	cause := errors.New("line cut")
	err := s.Put(ctx, bundletest.BlobOf([]byte("abc")), io.MultiReader(strings.NewReader("ab"), failing{cause}))
	if !errors.Is(err, cause) || errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Put(ended, bundletest.BlobOf([]byte("abc")), strings.NewReader("abc")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := tree(t, s.Dir()); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestStoreRefusesOtherDigests(t *testing.T) {
	s := bundletest.Store(t)
	for _, d := range []digest.Digest{
		"", "sha256:", "sha256:../../../../etc/passwd", "sha512:" + digest.Digest(strings.Repeat("0", 128)),
		"sha256:" + digest.Digest(strings.Repeat("A", 64)), "sha256:" + digest.Digest(strings.Repeat("0", 63)),
	} {
		b := manifest.Blob{Digest: d}
		if s.Has(b) {
			t.Errorf("has %q", d)
		}
		if err := s.Put(ctx, b, strings.NewReader("")); err == nil {
			t.Errorf("put %q", d)
		}
		if _, err := s.Open(b); err == nil {
			t.Errorf("opened %q", d)
		}
		if _, err := s.Partial(ctx, b); err == nil {
			t.Errorf("began %q", d)
		}
		if err := s.Remove(d); err == nil {
			t.Errorf("removed %q", d)
		}
		if bundle.BlobPath(d) != "" {
			t.Errorf("%q has a path", d)
		}
	}
}

// TestRotIsNoticed flips every bit of a small blob on the disk, and cuts it: no reader gets an EOF.
func TestRotIsNoticed(t *testing.T) {
	s := bundletest.Store(t)
	data := []byte("content")
	b := bundletest.Put(t, s, data)
	path := filepath.Join(s.Dir(), bundle.BlobPath(b.Digest))
	read := func(rotten []byte) error {
		t.Helper()
		if err := os.WriteFile(path, rotten, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := s.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	}
	for bit := range len(data) * 8 {
		rotten := bytes.Clone(data)
		rotten[bit/8] ^= 1 << (bit % 8)
		if err := read(rotten); !errors.Is(err, bundle.ErrDamaged) {
			t.Fatalf("bit %d: error %v", bit, err)
		}
	}
	for n := range len(data) {
		if err := read(data[:n]); !errors.Is(err, bundle.ErrDamaged) {
			t.Fatalf("cut at %d: error %v", n, err)
		}
	}
	if err := read(append(bytes.Clone(data), 0)); !errors.Is(err, bundle.ErrDamaged) {
		t.Fatalf("longer: error %v", err)
	}
	if err := read(data); err != nil {
		t.Fatal(err)
	}
}

func TestReadIsBounded(t *testing.T) {
	s := bundletest.Store(t)
	b := bundletest.Put(t, s, []byte("12345"))
	if _, err := s.Read(b, 4); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Read(manifest.Blob{Digest: b.Digest, Size: -1}, 4); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Read(bundletest.BlobOf([]byte("other")), 9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestImport(t *testing.T) {
	s := bundletest.Store(t)
	b, err := s.Import(ctx, strings.NewReader("abc"), 3)
	if err != nil || b != bundletest.BlobOf([]byte("abc")) || !s.Has(b) {
		t.Errorf("blob %v, error %v", b, err)
	}
	if _, err := s.Import(ctx, strings.NewReader("abcd"), 3); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if _, err := s.Import(ctx, failing{syscallENOSPC}, 3); !errors.Is(err, syscallENOSPC) {
		t.Errorf("error %v", err)
	}
	other, kept, err := s.ImportIf(ctx, strings.NewReader("xyz"), 3, func(b manifest.Blob) bool { return b.Size > 3 })
	if err != nil || kept || other != bundletest.BlobOf([]byte("xyz")) {
		t.Errorf("blob %v, kept %v, error %v", other, kept, err)
	}
	if want := "blobs/sha256/" + b.Digest.Encoded(); tree(t, s.Dir()) != want {
		t.Errorf("store holds %q", tree(t, s.Dir()))
	}
}

func TestImportSameContentAtOnce(t *testing.T) {
	s := bundletest.Store(t)
	data := bundletest.Bytes(1, 100_000)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := s.Import(ctx, bytes.NewReader(data), 1<<20); err != nil {
				t.Error(err)
			}
			if err := s.Put(ctx, bundletest.BlobOf(data), bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if _, err := s.Read(bundletest.BlobOf(data), 1<<20); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	s := bundletest.Store(t)
	keep := bundletest.Put(t, s, []byte("keep"))
	bundletest.Put(t, s, []byte("old"))
	part := func(data, content string) manifest.Blob {
		b := bundletest.BlobOf([]byte(content))
		p, err := s.Partial(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	keptPart := part("ab", "abc")
	part("xy", "xyz")
	// What a process leaves that is killed while it writes.
	for _, name := range []string{"blobs/sha256/" + durable.TempPrefix + "1", "partial/" + durable.TempPrefix + "2"} {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	freed, err := s.Prune(map[digest.Digest]bool{keep.Digest: true, keptPart.Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(3 + 2 + 12 + 5 + 5); freed != want { // old, xy with its sum, and the leftovers
		t.Errorf("freed %d bytes, want %d", freed, want)
	}
	if want := "blobs/sha256/" + keep.Digest.Encoded() + " partial/" + keptPart.Digest.Encoded() + " partial/" + keptPart.Digest.Encoded() + ".sums"; tree(t, s.Dir()) != want {
		t.Errorf("store holds %q", tree(t, s.Dir()))
	}
	if s.PartialSize(keptPart) != 2 {
		t.Errorf("part has %d bytes", s.PartialSize(keptPart))
	}
}

func TestRemove(t *testing.T) {
	s := bundletest.Store(t)
	b := bundletest.Put(t, s, []byte("a"))
	for range 2 {
		if err := s.Remove(b.Digest); err != nil {
			t.Error(err)
		}
	}
	if s.Has(b) {
		t.Error("it is still there")
	}
}
