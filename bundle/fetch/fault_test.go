package fetch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

var ctx = context.Background()

var quick = fetch.Options{Pause: time.Millisecond, StallTimeout: 10 * time.Second}

// published is a release in a folder, and everything that a site needs of it.
type published struct {
	dir     string
	store   *bundle.Store
	release *manifest.Release
	wants   []fetch.Want
}

func contents(s *bundle.Store, r ...*manifest.Release) pack.Contents {
	return pack.Contents{
		Documents: bundletest.Documents(), Releases: r, Store: s,
		Hint: bundle.Hint{Fleet: "clinic", Made: bundletest.Made},
	}
}

func publish(t *testing.T, size int) published {
	t.Helper()
	s, r := bundletest.Sample(t, size)
	dir := t.TempDir()
	if err := pack.PublishDir(ctx, dir, contents(s, r)); err != nil {
		t.Fatal(err)
	}
	wants, err := fetch.Wants(nil, r, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	return published{dir, s, r, wants}
}

// server is a web server with faults. Every field may be changed between requests.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	cut      int    // a body ends after so many bytes
	silent   bool   // and then stays open
	noRange  bool   // Range is ignored
	page     bool   // a login page for everything
	flip     string // a path whose first byte is wrong
	status   int    // for every request
	header   map[string]string
	replace  map[string]string // content for a path
	requests []string
}

func serve(t *testing.T, inner http.Handler) *server {
	s := &server{header: map[string]string{}, replace: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(inner, w, r) }))
	t.Cleanup(s.Close)
	return s
}

func (s *server) answer(inner http.Handler, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path+" "+r.Header.Get("Range"))
	f := &faulty{ResponseWriter: w, cut: s.cut, flip: s.flip != "" && strings.HasSuffix(r.URL.Path, s.flip)}
	noRange, page, status, text := s.noRange, s.page, s.status, s.replace[r.URL.Path]
	for k, v := range s.header {
		w.Header().Set(k, v)
	}
	s.mu.Unlock()
	switch {
	case page:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>Please log in</html>")
		return
	case status != 0:
		w.WriteHeader(status)
		return
	case text != "":
		_, _ = io.WriteString(w, text)
		return
	}
	if noRange {
		r.Header.Del("Range")
	}
	inner.ServeHTTP(f, r)
	if f.broken {
		if s.silent {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

func (f *faulty) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (s *server) count(part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r, part) {
			n++
		}
	}
	return n
}

// faulty is an answer that breaks.
type faulty struct {
	http.ResponseWriter
	cut    int
	n      int
	flip   bool
	broken bool
}

func (f *faulty) Write(p []byte) (int, error) {
	whole := len(p)
	if f.cut > 0 && f.n+len(p) > f.cut {
		p, f.broken = p[:max(0, f.cut-f.n)], true
	}
	if f.flip && f.n == 0 && len(p) > 0 {
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	n, err := f.ResponseWriter.Write(p)
	f.n += n
	if err == nil && f.broken {
		return n, io.ErrShortWrite
	}
	return whole, err
}

func files(t *testing.T, p published) *server {
	return serve(t, http.FileServer(http.Dir(p.dir)))
}

func open(t *testing.T, spec string) bundle.Source {
	t.Helper()
	src, err := fetch.Open(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// all checks that a store has everything, to the last byte.
func all(t *testing.T, s *bundle.Store, wants []fetch.Want) {
	t.Helper()
	for _, w := range wants {
		var err error
		for _, b := range w.Forms {
			if _, err = s.Read(b, 1<<30); err == nil {
				break
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// want is content that has the given forms.
func want(forms ...manifest.Blob) fetch.Want { return fetch.Want{Forms: forms} }

func part(t *testing.T, s *bundle.Store, b manifest.Blob, data []byte) {
	t.Helper()
	p, err := s.Partial(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func largest(wants []fetch.Want) fetch.Want {
	w := want(manifest.Blob{})
	for _, x := range wants {
		if x.Forms[0].Size > w.Forms[0].Size {
			w = x
		}
	}
	return w
}

func contentOf(t *testing.T, s *bundle.Store, b manifest.Blob) []byte {
	t.Helper()
	data, err := s.Read(b, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func rangeHeader(from, to, of int) string {
	return fmt.Sprintf("bytes %d-%d/%s", from, to, strconv.Itoa(of))
}

// contentAt is the blob that the path of a request names.
func contentAt(t *testing.T, s *bundle.Store, path string) []byte {
	d := digest.Digest(path[strings.LastIndex(path, "/")+1:])
	f, err := os.ReadFile(filepath.Join(s.Dir(), "blobs", "sha256", d.Encoded()))
	if err != nil {
		t.Error(err)
	}
	return f
}
