package bundle_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/manifest"
)

func begin(t *testing.T, s *bundle.Store, b manifest.Blob) *bundle.PartialFile {
	t.Helper()
	p, err := s.Partial(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func appendTo(t *testing.T, p *bundle.PartialFile, data string) {
	t.Helper()
	if _, err := p.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
}

func TestPartGoesOnAfterRestart(t *testing.T) {
	s := bundletest.Store(t)
	b := bundletest.BlobOf([]byte("abcdef"))
	p := begin(t, s, b)
	appendTo(t, p, "abc")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := bundle.OpenStore(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if again.PartialSize(b) != 3 {
		t.Errorf("%d bytes", again.PartialSize(b))
	}
	p = begin(t, again, b)
	if p.Size() != 3 {
		t.Errorf("%d bytes", p.Size())
	}
	appendTo(t, p, "def")
	if s.Has(b) {
		t.Error("a part counts as the blob")
	}
	if err := p.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got, err := s.Read(b, 10); err != nil || string(got) != "abcdef" {
		t.Errorf("%q, error %v", got, err)
	}
	if want := "blobs/sha256/" + b.Digest.Encoded(); tree(t, s.Dir()) != want {
		t.Errorf("store holds %q", tree(t, s.Dir()))
	}
}

func TestPartWithWrongContentIsDeleted(t *testing.T) {
	for _, data := range []string{"abcdeF", "abcde", ""} {
		s := bundletest.Store(t)
		p := begin(t, s, bundletest.BlobOf([]byte("abcdef")))
		appendTo(t, p, data)
		if err := p.Finish(ctx); !errors.Is(err, bundle.ErrDamaged) {
			t.Errorf("%q: error %v", data, err)
		}
		if got := tree(t, s.Dir()); got != "" {
			t.Errorf("%q: left behind: %s", data, got)
		}
	}
}

// TestPartThatRotsIsNoticed: what is hashed is what is on the disk, not what passed by.
func TestPartThatRotsIsNoticed(t *testing.T) {
	s := bundletest.Store(t)
	b := bundletest.BlobOf([]byte("abcdef"))
	p := begin(t, s, b)
	appendTo(t, p, "abcdef")
	if err := os.WriteFile(filepath.Join(s.Dir(), "partial", b.Digest.Encoded()), []byte("abcdeF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Finish(ctx); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
}

func TestPartIsBounded(t *testing.T) {
	s := bundletest.Store(t)
	p := begin(t, s, bundletest.BlobOf([]byte("abc")))
	appendTo(t, p, "ab")
	if _, err := p.Write([]byte("cd")); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	if p.Size() != 2 {
		t.Errorf("%d bytes", p.Size())
	}
	if err := p.Truncate(); err != nil || p.Size() != 0 {
		t.Errorf("%d bytes, error %v", p.Size(), err)
	}
	appendTo(t, p, "abc")
	if err := p.Finish(ctx); err != nil {
		t.Error(err)
	}
}

func TestEmptyPartLeavesNothing(t *testing.T) {
	s := bundletest.Store(t)
	b := bundletest.BlobOf([]byte("abc"))
	if err := begin(t, s, b).Close(); err != nil {
		t.Error(err)
	}
	p := begin(t, s, b)
	appendTo(t, p, "ab")
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := tree(t, s.Dir()); got != "" {
		t.Errorf("left behind: %s", got)
	}
}
