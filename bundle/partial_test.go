package bundle_test

import (
	"bytes"
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
	p, err := s.Partial(ctx, b)
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
	if err := p.Finish(); err != nil {
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
		if err := p.Finish(); !errors.Is(err, bundle.ErrDamaged) {
			t.Errorf("%q: error %v", data, err)
		}
		if got := tree(t, s.Dir()); got != "" {
			t.Errorf("%q: left behind: %s", data, got)
		}
	}
}

// TestPartThatRots: what is damaged on the disk is cut off when the part is opened, and what stands before it stays.
func TestPartThatRots(t *testing.T) {
	const piece, size = 256 << 10, 1 << 20
	data := bundletest.Bytes(7, size)
	b := bundletest.BlobOf(data)
	for _, c := range []struct {
		name string
		rot  func(part, sums []byte) ([]byte, []byte)
		left int
	}{
		{"nothing", func(p, s []byte) ([]byte, []byte) { return p, s }, size - 1000},
		{"first byte", func(p, s []byte) ([]byte, []byte) { p[0] ^= 1; return p, s }, 0},
		{"third piece", func(p, s []byte) ([]byte, []byte) { p[2*piece+9] ^= 1; return p, s }, 2 * piece},
		{"last piece is zeros", func(p, s []byte) ([]byte, []byte) { clear(p[3*piece:]); return p, s }, 3 * piece},
		{"end is gone", func(p, s []byte) ([]byte, []byte) { return p[:2*piece+5], s }, 2 * piece},
		{"more came, no sum", func(p, s []byte) ([]byte, []byte) { return append(p, 1, 2, 3), s }, size - 1000},
		{"longer than the blob", func(p, s []byte) ([]byte, []byte) { return append(p, make([]byte, 5000)...), s }, size - 1000},
		{"no sums", func(p, _ []byte) ([]byte, []byte) { return p, nil }, 0},
		{"torn sum", func(p, s []byte) ([]byte, []byte) { return p, s[:len(s)-3] }, 3 * piece},
		{"sum of zeros", func(p, s []byte) ([]byte, []byte) { clear(s[12:24]); return p, s }, piece},
		{"sum that goes back", func(p, s []byte) ([]byte, []byte) { copy(s[12:24], s[:12]); return p, s }, piece},
		{"sum beyond the end", func(p, s []byte) ([]byte, []byte) { s[24] = 0x7f; return p, s }, 2 * piece},
		{"negative sum", func(p, s []byte) ([]byte, []byte) { s[24] = 0xff; return p, s }, 2 * piece},
		{"sum of too much", func(p, s []byte) ([]byte, []byte) { return p, s[12:] }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bundletest.Store(t)
			p := begin(t, s, b)
			appendTo(t, p, string(data[:size-1000]))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.Dir(), "partial", b.Digest.Encoded())
			part, sums := c.rot(read(t, path), read(t, path+".sums"))
			write(t, path, part)
			write(t, path+".sums", sums)
			p = begin(t, s, b)
			if p.Size() != int64(c.left) {
				t.Errorf("%d bytes are left, want %d", p.Size(), c.left)
			}
			appendTo(t, p, string(data[p.Size():]))
			if err := p.Finish(); err != nil {
				t.Error(err)
			}
			if got, err := s.Read(b, size); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
			if want := "blobs/sha256/" + b.Digest.Encoded(); tree(t, s.Dir()) != want {
				t.Errorf("store holds %q", tree(t, s.Dir()))
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKilledPart: a process that is killed closes nothing. What it wrote counts but for the last piece.
func TestKilledPart(t *testing.T) {
	data := bundletest.Bytes(8, 1<<20)
	b := bundletest.BlobOf(data)
	for _, n := range []int{1, 1000, 256 << 10, 256<<10 + 1, 700_000, 1<<20 - 1} {
		s := bundletest.Store(t)
		p := begin(t, s, b)
		for at := 0; at < n; at += 1400 {
			appendTo(t, p, string(data[at:min(n, at+1400)]))
		}
		left := begin(t, s, b).Size()
		if left > int64(n) || int64(n)-left > 256<<10 {
			t.Errorf("%d of %d bytes are left", left, n)
		}
	}
}

func TestCutPart(t *testing.T) {
	data := bundletest.Bytes(9, 1<<20)
	b := bundletest.BlobOf(data)
	for _, n := range []int64{0, 1, 5000, 256 << 10, 256<<10 + 1, 600_000, 900_000, 1 << 20} {
		s := bundletest.Store(t)
		p := begin(t, s, b)
		for at := 0; at < 900_000; at += 3000 {
			appendTo(t, p, string(data[at:at+3000]))
		}
		if err := p.CutTo(ctx, n); err != nil || p.Size() != min(n, 900_000) {
			t.Fatalf("%d bytes are left of %d, error %v", p.Size(), n, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		p = begin(t, s, b)
		if p.Size() != min(n, 900_000) {
			t.Errorf("%d bytes are there of %d", p.Size(), n)
		}
		appendTo(t, p, string(data[p.Size():]))
		if err := p.Finish(); err != nil {
			t.Error(err)
		}
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
	if err := p.CutTo(ctx, 0); err != nil || p.Size() != 0 {
		t.Errorf("%d bytes, error %v", p.Size(), err)
	}
	appendTo(t, p, "abc")
	if err := p.Finish(); err != nil {
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
