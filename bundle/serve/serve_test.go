package serve

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// place is a site with one release, whose web layer is there unpacked only.
type place struct {
	t         *testing.T
	store     *bundle.Store
	client    *trust.Client
	release   *manifest.Release
	root      []byte
	published map[string][]byte
	secret    manifest.Blob // something else in the store
}

const megabyte = 1 << 20

func newPlace(t *testing.T) *place {
	t.Helper()
	store, r := bundletest.Sample(t, megabyte)
	fleet := manifesttest.New(t, "clinic")
	r.Images[1].Services = []string{"db"}
	fleet.AddRelease("1.0.0", r)
	fleet.Assign("kin-001", "pilot", "1.0.0")
	p := &place{t: t, store: store, release: r, root: fleet.Root, published: fleet.Publish()}
	dir := t.TempDir()
	if err := trust.Init(dir, fleet.Root); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.client, err = trust.Open(dir, trust.Options{}); err != nil {
		t.Fatal(err)
	}
	src := manifesttest.NewSource(p.published)
	if _, err := p.client.Refresh(context.Background(), src, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.client.Release(context.Background(), src, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	p.secret = bundletest.Put(t, store, []byte("the password of the clinic"))
	web := p.web()
	layer, err := store.OpenLayer(web)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(context.Background(), manifest.Blob{Digest: web.DiffID, Size: web.DiffSize}, layer); err != nil {
		t.Fatal(err)
	}
	_ = layer.Close()
	if err := store.Remove(web.Digest); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) web() manifest.Layer { return p.release.Images[0].Platforms[0].Layers[1] }
func (p *place) db() manifest.Layer  { return p.release.Images[1].Platforms[0].Layers[1] }

func (p *place) path(b manifest.Blob) string {
	return filepath.Join(p.store.Dir(), filepath.FromSlash(bundle.BlobPath(b.Digest)))
}

func (p *place) handler() *Handler { return NewHandler(Site(p.store, p.client), nil) }

// listen serves with all bounds of a real server.
func listen(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestNeighbour fetches everything as a site does, documents first.
func TestNeighbour(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	dir := t.TempDir()
	c := pack.Contents{Documents: p.published, Releases: []*manifest.Release{p.release}, Store: p.store, AsHere: true}
	for _, name := range []string{"folder", "b.tgz", "b.tar"} {
		if _, err := pack.Write(ctx, filepath.Join(dir, name), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"site", "folder", "b.tgz", "b.tar"} {
		t.Run(from, func(t *testing.T) {
			shelf := Site(p.store, p.client)
			if from != "site" {
				src, err := fetch.Open(ctx, filepath.Join(dir, from))
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				s, err := OpenSource(ctx, src, func() (*bundle.Store, error) { return bundletest.Store(t), nil }, nil)
				if err != nil {
					t.Fatal(err)
				}
				if s.About() != "fleet clinic, release 1.0.0" {
					t.Errorf("it is about %q", s.About())
				}
				if from != "folder" { // what was unpacked is all that is read
					if err := os.Remove(filepath.Join(dir, from)); err != nil {
						t.Fatal(err)
					}
				}
				shelf = s
			}
			src, err := fetch.Open(ctx, "http://"+listen(t, NewHandler(shelf, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			client, err := trust.Scratch(p.root, trust.Options{Site: "kin-001"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Refresh(ctx, src, false); err != nil {
				t.Fatal(err)
			}
			r, _, err := client.Release(ctx, src, "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			store := bundletest.Store(t)
			wants, err := fetch.Wants(store, r, "linux/amd64")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fetch.Blobs(ctx, store, []bundle.Source{src}, wants, fetch.Options{}); err != nil {
				t.Fatal(err)
			}
			for _, image := range r.Images {
				if err := store.VerifyImage(ctx, image.Platforms[0]); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestAnswers is the whole of what can be asked, and what is answered.
func TestAnswers(t *testing.T) {
	p := newPlace(t)
	db := "/" + bundle.BlobPath(p.db().Digest)
	size := p.db().Size
	data, err := os.ReadFile(p.path(p.db().Blob))
	if err != nil {
		t.Fatal(err)
	}
	tag := `"` + p.db().Digest.String() + `"`
	stamp := p.published["metadata/timestamp.json"]
	of := func(first, last int64) string { return fmt.Sprintf("bytes %d-%d/%d", first, last, size) }
	h := p.handler()
	for _, c := range []struct {
		method, path, header string // NAME: VALUE
		status               int
		body                 []byte // nil: not compared
		contentRange         string
	}{
		{"GET", "/metadata/timestamp.json", "", 200, stamp, ""},
		{"GET", "/metadata/timestamp.json", "If-None-Match: " + etag(bundletest.BlobOf(stamp).Digest), 304, []byte{}, ""},
		{"HEAD", "/metadata/timestamp.json", "", 200, []byte{}, ""},
		{"GET", "/metadata/2.root.json", "", 404, nil, ""},
		{"GET", db, "", 200, data, ""},
		{"GET", db, "If-None-Match: \"x\", W/" + tag, 304, []byte{}, ""},
		{"HEAD", db, "", 200, []byte{}, ""},
		{"HEAD", db, "Range: bytes=1-2", 206, []byte{}, of(1, 2)},
		{"GET", db, "Range: bytes=5-9", 206, data[5:10], of(5, 9)},
		{"GET", db, "Range: bytes=5-", 206, data[5:], of(5, size-1)},
		{"GET", db, "Range: bytes=-7", 206, data[size-7:], of(size-7, size-1)},
		{"GET", db, "Range: bytes=5-99999999999", 206, data[5:], of(5, size-1)},
		{"GET", db, "Range: bytes=-99999999999", 206, data, of(0, size-1)},
		{"GET", db, fmt.Sprintf("Range: bytes=%d-", size), 416, nil, fmt.Sprintf("bytes */%d", size)},
		{"GET", db, "Range: bytes=99999999999-", 416, nil, fmt.Sprintf("bytes */%d", size)},
		{"GET", db, "Range: bytes=-0", 416, nil, fmt.Sprintf("bytes */%d", size)},
		{"GET", db, "Range: bytes=9-5", 200, data, ""},
		{"GET", db, "Range: bytes=--5", 200, data, ""},
		{"GET", db, "Range: bytes=+1-5", 200, data, ""},
		{"GET", db, "Range: bytes=1-2,4-5", 200, data, ""},
		{"GET", db, "Range: bytes=99999999999999999999-", 200, data, ""},
		{"GET", db, "Range: bytes=-", 200, data, ""},
		{"GET", db, "Range: lines=1-2", 200, data, ""},
		{"POST", db, "", 405, nil, ""},
		{"DELETE", db, "", 405, nil, ""},
		{"OPTIONS", db, "", 405, nil, ""},
		{"GET", "/" + bundle.BlobPath(p.secret.Digest), "", 404, nil, ""},
		{"GET", "/" + bundle.BlobPath(p.web().Digest), "", 404, nil, ""},
		{"HEAD", "/" + bundle.BlobPath(p.web().DiffID), "", 200, []byte{}, ""},
		{"GET", "/" + bundle.BlobPath(bundletest.BlobOf(nil).Digest), "", 404, nil, ""},
		{"GET", "/", "", 404, nil, ""},
		{"GET", "/metadata/", "", 404, nil, ""},
		{"GET", "/blobs/sha256/", "", 404, nil, ""},
		{"GET", "//metadata/timestamp.json", "", 404, nil, ""},
		{"GET", "/blobs/sha256/../../journal.db", "", 404, nil, ""},
		{"GET", "/metadata/../../../etc/passwd", "", 404, nil, ""},
		{"GET", "/metadata/%2e%2e/%2e%2e/etc/passwd", "", 404, nil, ""},
		{"GET", "/metadata/..%5c..%5cdhow.yaml", "", 404, nil, ""},
		{"GET", "/metadata/C:%5cdhow.yaml", "", 404, nil, ""},
		{"GET", "/metadata/timestamp.json%00", "", 404, nil, ""},
		{"GET", "/targets/releases", "", 404, nil, ""},
		{"GET", "/bundle.json", "", 404, nil, ""},
		{"GET", "/etc/dhow/site.env", "", 404, nil, ""},
	} {
		req := httptest.NewRequest(c.method, c.path, nil)
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		name := c.method + " " + c.path + " " + c.header
		if w.Code != c.status || w.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Header().Get("Content-Range"), c.status, c.contentRange)
		}
		if c.body != nil && !bytes.Equal(w.Body.Bytes(), c.body) {
			t.Errorf("%s: another content of %d bytes, want %d", name, w.Body.Len(), len(c.body))
		}
		if n := w.Header().Get("Content-Length"); c.method == "GET" && w.Code < 300 && n != fmt.Sprint(len(c.body)) {
			t.Errorf("%s: Content-Length %s", name, n)
		}
	}
}

// TestDamagedContent is not offered, and what changes in the middle breaks off.
func TestDamagedContent(t *testing.T) {
	p := newPlace(t)
	db := p.db().Blob
	address := listen(t, p.handler())
	get := func() (status int, n int64, err error) {
		resp, err := http.Get("http://" + address + "/" + bundle.BlobPath(db.Digest))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, n, err
	}
	if status, n, err := get(); status != 200 || n != db.Size || err != nil {
		t.Fatal(status, n, err)
	}

	resp, err := http.Get("http://" + address + "/" + bundle.BlobPath(db.Digest))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p.path(db), 100_000); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err == nil && n != db.Size { // all of it may have been on its way already
		t.Errorf("%d bytes came of a blob that was cut, and no error", n)
	}
	if status, _, _ := get(); status != 404 {
		t.Errorf("a blob of the wrong length: %d", status)
	}

	data := bundletest.Bytes(99, int(db.Size))
	if err := os.WriteFile(p.path(db), data, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, _, _ := get(); status != 404 {
			t.Errorf("damaged content: %d", status)
		}
	}
	if err := p.store.Remove(db.Digest); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(); status != 404 {
		t.Errorf("content that was swept: %d", status)
	}
}

// TestNewContent: a release that comes while the site serves is offered at once.
func TestNewContent(t *testing.T) {
	p := newPlace(t)
	h := p.handler()
	ask := func(b manifest.Blob) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("HEAD", "/"+bundle.BlobPath(b.Digest), nil))
		return w.Code
	}
	gone := p.web().Blob
	if got := ask(gone); got != 404 {
		t.Fatal(got)
	}
	web, err := p.store.OpenLayer(p.web())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(web)
	if err != nil {
		t.Fatal(err)
	}
	if b := bundletest.Put(t, p.store, bundletest.Compress(t, bundle.Gzip, plain)); b.Digest != gone.Digest {
		t.Fatal("the layer is another one")
	}
	if got := ask(gone); got != 200 {
		t.Errorf("%d", got)
	}
}
