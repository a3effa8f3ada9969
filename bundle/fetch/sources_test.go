package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/manifest"
)

func TestNextSource(t *testing.T) {
	p := publish(t, 50_000)
	w := largest(p.wants)
	for _, c := range []struct {
		name  string
		fault func(*server)
	}{
		{"first is down", func(s *server) { s.status = 503 }},
		{"first lacks one", func(s *server) { s.replace["/"+bundle.BlobPath(w.Forms[0].Digest)] = " " }},
		{"first is damaged", func(s *server) { s.flip = w.Forms[0].Digest.Encoded() }},
		{"first is a login page", func(s *server) { s.page = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, second := files(t, p), files(t, p)
			c.fault(first)
			site := bundletest.Store(t)
			_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, first.URL), open(t, second.URL)}, p.wants, quick)
			if err != nil {
				t.Fatal(err)
			}
			all(t, site, p.wants)
		})
	}
	first, second := files(t, p), files(t, p)
	first.status, second.flip = 503, w.Forms[0].Digest.Encoded()
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, first.URL), open(t, second.URL)}, p.wants, quick)
	if !errors.Is(err, bundle.ErrUnreachable) || !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "cannot fetch 1 of 6 blobs: ") {
		t.Errorf("error %v", err)
	}
	_, err = fetch.Blobs(ctx, bundletest.Store(t), nil, p.wants, quick)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no source has blob sha256:") {
		t.Errorf("error %v", err)
	}
}

func TestCancelKeepsTheParts(t *testing.T) {
	p := publish(t, 300_000)
	w := largest(p.wants)
	web := files(t, p)
	web.cut, web.silent = 100_000, true
	site := bundletest.Store(t)
	ended, cancel := context.WithCancel(ctx)
	opts := quick
	opts.StallTimeout = time.Hour
	opts.Progress = func(done, _ int64) {
		if done >= 100_000 {
			cancel()
		}
	}
	if _, err := fetch.Blobs(ended, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := site.PartialSize(w.Forms[0]); got != 100_000 {
		t.Errorf("the part has %d bytes", got)
	}
}

func TestFullDisk(t *testing.T) {
	p := publish(t, 50_000)
	w := largest(p.wants)
	site := bundletest.Store(t)
	if err := os.Symlink("/dev/full", filepath.Join(site.Dir(), "partial", w.Forms[0].Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	src := open(t, p.dir)
	_, err := fetch.Blobs(ctx, site, []bundle.Source{src, src}, []fetch.Want{w}, quick)
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestImpossibleWants(t *testing.T) {
	good := bundletest.BlobOf([]byte("a"))
	for _, w := range []fetch.Want{
		{}, want(manifest.Blob{}), want(good, manifest.Blob{Digest: "x"}), want(good, manifest.Blob{Digest: good.Digest, Size: -1}),
	} {
		if _, err := fetch.Blobs(ctx, bundletest.Store(t), nil, []fetch.Want{w}, quick); err == nil {
			t.Errorf("%v is no error", w)
		}
	}
}

// TestFileThatIsAWebPage: web servers guess types, and a release may hold a web page.
func TestFileThatIsAWebPage(t *testing.T) {
	page := []byte("<html><body>maintenance</body></html>")
	w := want(bundletest.BlobOf(page))
	web := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.ServeContent(rw, r, "", bundletest.Made, bytes.NewReader(page))
	}))
	for _, n := range []int{0, 10} {
		site := bundletest.Store(t)
		if n > 0 {
			part(t, site, w.Forms[0], page[:n])
		}
		if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w, w}, quick); err != nil {
			t.Error(err)
		}
		all(t, site, []fetch.Want{w})
	}
}

func TestEmptyBlob(t *testing.T) {
	site := bundletest.Store(t)
	w := want(bundletest.BlobOf(nil))
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, publish(t, 10).dir)}, []fetch.Want{w}, quick); err != nil {
		t.Error(err)
	}
	if !site.Has(w.Forms[0]) {
		t.Error("it is not there")
	}
}

// TestBlobFromOffset is what every source promises.
func TestBlobFromOffset(t *testing.T) {
	p := publish(t, 20_000)
	web, old := files(t, p), files(t, p)
	old.noRange = true
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	for _, spec := range []string{p.dir, web.URL, old.URL, archive(t, p, ".tgz")} {
		for _, offset := range []int{0, 1, len(data) - 1} {
			r, err := open(t, spec).Blob(ctx, w.Forms[0], int64(offset))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			_ = r.Close()
			if err != nil || !bytes.Equal(got, data[offset:]) {
				t.Errorf("%s from %d: %d bytes, error %v", spec, offset, len(got), err)
			}
		}
	}
}
