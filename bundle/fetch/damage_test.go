package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
)

// TestCutArchives cuts an archive at many places: it is never taken for a whole one.
func TestCutArchives(t *testing.T) {
	p := publish(t, 20_000)
	for _, end := range []string{".tar", ".tgz", ".tar.zst"} {
		whole, err := os.ReadFile(archive(t, p, end))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "cut"+end)
		for _, at := range cuts(len(whole), end) {
			if err := os.WriteFile(path, whole[:at], 0o644); err != nil {
				t.Fatal(err)
			}
			site := bundletest.Store(t)
			src, err := fetch.Open(ctx, path)
			if err == nil {
				_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
			}
			if !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "cut short") {
				t.Errorf("%s cut at %d of %d: error %v", end, at, len(whole), err)
			}
			empty(t, site)
		}
	}
}

// cuts are places to cut: all over, at every block for a while, and near the end.
func cuts(size int, end string) []int {
	var all []int
	for n := 1; n < 20; n++ {
		all = append(all, size*n/20, size*n/20/512*512)
	}
	last := size - 1
	if end == ".tar" {
		last = size - 1024 // the end mark is 1,024 bytes; half of it is enough for every reader
		all = append(all, last-1)
	}
	return append(all, last, 3, 100)
}

// TestFlippedBits flips bits all over an archive: what gets through is right nevertheless.
func TestFlippedBits(t *testing.T) {
	p := publish(t, 20_000)
	for _, end := range []string{".tar", ".tgz", ".tar.zst"} {
		whole, err := os.ReadFile(archive(t, p, end))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "flipped"+end)
		refused := 0
		for n := range 40 {
			rotten := bytes.Clone(whole)
			rotten[len(whole)*n/40] ^= 1 << (n % 8)
			if err := os.WriteFile(path, rotten, 0o644); err != nil {
				t.Fatal(err)
			}
			site := bundletest.Store(t)
			src, err := fetch.Open(ctx, path)
			if err == nil {
				_, err = fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
			}
			switch {
			case err == nil: // in padding, a date, or a document that trust looks at
				all(t, site, p.wants)
			case errors.Is(err, bundle.ErrDamaged), errors.Is(err, bundle.ErrUnsafePath), errors.Is(err, bundle.ErrTooLarge),
				errors.Is(err, bundle.ErrNoMetadata), errors.Is(err, fs.ErrNotExist):
				refused++
			default:
				t.Errorf("%s, byte %d: error %v", end, len(whole)*n/40, err)
			}
		}
		if refused < 25 {
			t.Errorf("%s: only %d of 40 flipped bits were noticed", end, refused)
		}
	}
}

// TestDamagedArchiveThenAnotherSource: what was right stays, the rest comes from elsewhere.
func TestDamagedArchiveThenAnotherSource(t *testing.T) {
	p := publish(t, 100_000)
	path := archive(t, p, ".tar")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-20_000] ^= 1 // in the last blob
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	site := bundletest.Store(t)
	web := files(t, p)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, path), open(t, web.URL)}, p.wants, quick)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, p.wants)
	if web.count("/blobs/") != 1 {
		t.Errorf("%d blobs came over the line", web.count("/blobs/"))
	}
	if moved.Bytes <= fetch.Size(p.wants)/2 {
		t.Errorf("moved %d bytes", moved)
	}
}

func TestArchiveThatLacksABlob(t *testing.T) {
	p := publish(t, 10_000)
	list := items(t, p)
	src := open(t, writeArchive(t, bundle.Plain, list[:len(list)-1]))
	site := bundletest.Store(t)
	_, err := fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick)
	want := "cannot fetch 1 of 6 blobs: " + src.Name() + ": it does not hold blob sha256:"
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	all(t, site, p.wants[:len(p.wants)-1]) // good bytes stay: another stick may bring the rest
	if err := fetch.Verify(ctx, src, p.wants, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := readBlob(src, p.wants[len(p.wants)-1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func readBlob(src bundle.Source, w fetch.Want) ([]byte, error) {
	r, err := src.Blob(ctx, w.Forms[0], 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestCancelWhileStreaming(t *testing.T) {
	p := publish(t, 500_000)
	ended, cancel := context.WithCancel(ctx)
	opts := quick
	opts.Progress = func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	}
	site := bundletest.Store(t)
	_, err := fetch.Blobs(ended, site, []bundle.Source{open(t, archive(t, p, ".tgz"))}, p.wants, opts)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if !site.Has(p.wants[0].Forms[0]) && !site.Has(p.wants[1].Forms[0]) && !site.Has(p.wants[2].Forms[0]) {
		t.Error("what had come is gone")
	}
}
