package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
)

func TestWants(t *testing.T) {
	s, r := bundletest.Sample(t, 10_000)
	everything, err := fetch.Wants(nil, r, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	if len(everything) != 1+2+3 { // the shared layer once
		t.Errorf("%d wants", len(everything))
	}
	if none, err := fetch.Wants(s, r, "linux/amd64"); err != nil || len(none) != 0 {
		t.Errorf("a full store wants %v, error %v", none, err)
	}
	site := bundletest.Store(t)
	bundletest.Put(t, site, contentOf(t, s, r.Images[1].Platforms[0].Layers[1].Blob)) // plain: found by blob or diff ID
	some, err := fetch.Wants(site, r, "linux/amd64")
	if err != nil || len(some) != 5 {
		t.Errorf("%d wants, error %v", len(some), err)
	}
	if _, err := fetch.Wants(nil, r, "linux/arm64"); err == nil {
		t.Error("another architecture is no error")
	}
	if got := fetch.Size(everything); got <= 20_000 {
		t.Errorf("%d bytes", got)
	}
}

func TestBlobsFromEverySource(t *testing.T) {
	p := publish(t, 100_000)
	web := files(t, p)
	for _, spec := range []string{p.dir, "file://" + p.dir, web.URL, web.URL + "/"} {
		t.Run(spec, func(t *testing.T) {
			site := bundletest.Store(t)
			var done, total int64
			opts := quick
			opts.Progress = func(d, of int64) {
				if d < done || d > of {
					t.Errorf("progress %d of %d after %d", d, of, done)
				}
				done, total = d, of
			}
			moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, spec)}, p.wants, opts)
			if err != nil {
				t.Fatal(err)
			}
			all(t, site, p.wants)
			if want := fetch.Size(p.wants); moved.Bytes != want || done != want || total != want {
				t.Errorf("moved %d, done %d of %d, want %d", moved, done, total, want)
			}
			moved, err = fetch.Blobs(ctx, site, nil, p.wants, quick)
			if moved.Bytes != 0 || err != nil {
				t.Errorf("again: moved %d, error %v", moved, err)
			}
		})
	}
}

// TestRate fetches no faster over the line than it is allowed to; what is near has no limit.
func TestRate(t *testing.T) {
	p := publish(t, 200_000)
	size := fetch.Size(p.wants)
	limited := quick
	limited.Rate = size * 2
	begin := time.Now()
	web := open(t, files(t, p).URL)
	moved, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{fetch.At(web, fetch.Line)}, p.wants, limited)
	if err != nil || moved.Bytes != size {
		t.Fatalf("moved %d, error %v", moved, err)
	}
	if took := time.Since(begin); took < 450*time.Millisecond || took > 20*time.Second {
		t.Errorf("%d bytes at %d bytes/s took %s", size, limited.Rate, took)
	}
	limited.Rate = 1000
	for _, near := range []bundle.Source{open(t, p.dir), web} {
		begin = time.Now()
		if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{near}, p.wants, limited); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Duration(size)*time.Millisecond/10 {
			t.Errorf("from %s it took %s", near.Name(), took)
		}
	}
}

// TestCutLine breaks every connection after 30 kB: everything arrives, and nothing is moved twice.
func TestCutLine(t *testing.T) {
	p := publish(t, 200_000)
	web := files(t, p)
	web.cut = 30_000
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, p.wants, quick)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, p.wants)
	if want := fetch.Size(p.wants); moved.Bytes != want {
		t.Errorf("moved %d bytes of %d", moved, want)
	}
	if n := web.count("bytes="); n < 10 {
		t.Errorf("%d requests went on at a byte", n)
	}
}

// TestResumeAfterRestart leaves the part of another process.
func TestResumeAfterRestart(t *testing.T) {
	p := publish(t, 200_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	size := len(data)
	for _, c := range []struct {
		name  string
		part  []byte
		fault func(*server)
		moved int
	}{
		{"goes on", data[:size/2], nil, size - size/2},
		{"part is whole", data, nil, 0},
		{"server sends everything", data[:size/2], func(s *server) { s.noRange = true }, size},
		{"part is of something else", bytes.Repeat([]byte("x"), size/2), nil, size - size/2 + size},
		{"whole part is of something else", bytes.Repeat([]byte("x"), size), nil, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := files(t, p)
			if c.fault != nil {
				c.fault(web)
			}
			site := bundletest.Store(t)
			part(t, site, w.Forms[0], c.part)
			moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
			if err != nil {
				t.Fatal(err)
			}
			all(t, site, []fetch.Want{w})
			if moved.Bytes != int64(c.moved) {
				t.Errorf("moved %d bytes, want %d", moved, c.moved)
			}
		})
	}
}

// TestServerThatBeginsAnewLosesNothing: what is here stays, when the line breaks before the server is where it was.
func TestServerThatBeginsAnewLosesNothing(t *testing.T) {
	p := publish(t, 200_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	web := files(t, p)
	web.noRange, web.cut = true, 10_000
	site := bundletest.Store(t)
	part(t, site, w.Forms[0], data[:50_000])
	_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
	if !errors.Is(err, bundle.ErrUnreachable) || web.count("/blobs/") != 3 {
		t.Errorf("error %v after %d requests", err, web.count("/blobs/"))
	}
	if got := site.PartialSize(w.Forms[0]); got != 50_000 {
		t.Errorf("the part has %d bytes", got)
	}
}

// TestShortenedRanges: a server that gives less than it is asked for, and does not say how much there is, is asked for the rest.
func TestShortenedRanges(t *testing.T) {
	p := publish(t, 50_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var first int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first); err != nil {
			t.Error(err)
		}
		last := min(first+20_000, len(data)) - 1
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", first, last))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[first : last+1])
	}))
	site := bundletest.Store(t)
	part(t, site, w.Forms[0], data[:1000])
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
	if err != nil || moved.Bytes != int64(len(data)-1000) {
		t.Errorf("moved %d bytes, error %v", moved.Bytes, err)
	}
	all(t, site, []fetch.Want{w})
}

// TestWordsForABadStick name in people's words what is missing, and what is damaged beside.
func TestWordsForABadStick(t *testing.T) {
	contents, wants := contentsOf(2, 1000)
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(wants[1].Forms[0].Digest)))
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.Mkdir(filepath.Join(dir, bundle.MetadataDir), 0o755),
		os.WriteFile(file, append([]byte("x"), contents[1][1:]...), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, dir)}, wants, quick)
	want := fmt.Sprintf("cannot fetch 2 of 2 blobs: %[1]s: it does not hold blob %[2]s; %[1]s: blob %[3]s is damaged: its content has the digest ",
		dir, wants[0].Forms[0].Digest, wants[1].Forms[0].Digest)
	if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestServersThatAnswerWrongly(t *testing.T) {
	p := publish(t, 100_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	path := "/" + bundle.BlobPath(w.Forms[0].Digest)
	for _, c := range []struct {
		name  string
		part  int
		fault func(*server)
		kind  error
		want  string
	}{
		{"login page", 0, func(s *server) { s.page = true }, bundle.ErrUnreachable, "a web page came instead of the content (a login page of the network?)"},
		{"login page while going on", 50_000, func(s *server) { s.page = true }, bundle.ErrUnreachable, "a web page came instead"},
		{"not there", 0, func(s *server) { s.status = 404 }, fs.ErrNotExist, "it is not there (HTTP 404)"},
		{"forbidden", 0, func(s *server) { s.status = 403 }, bundle.ErrUnreachable, "access is refused (HTTP 403)"},
		{"no password", 0, func(s *server) { s.status = 401 }, bundle.ErrUnreachable, "access is refused (HTTP 401)"},
		{"server is broken", 0, func(s *server) { s.status = 502 }, bundle.ErrUnreachable, "HTTP 502 Bad Gateway"},
		{"other content", 0, func(s *server) { s.flip = path }, bundle.ErrDamaged, "its content has the digest"},
		{"wrong length", 0, func(s *server) { s.replace[path] = "short" }, bundle.ErrDamaged, "the server has 5 bytes, not"},
		{"odd status", 0, func(s *server) { s.status = 444 }, bundle.ErrUnreachable, "HTTP 444"},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := files(t, p)
			c.fault(web)
			site := bundletest.Store(t)
			if c.part > 0 {
				part(t, site, w.Forms[0], data[:c.part])
			}
			_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), web.URL) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if site.Has(w.Forms[0]) {
				t.Error("it was stored")
			}
			if got := site.PartialSize(w.Forms[0]); got != int64(c.part) {
				t.Errorf("the part has %d bytes, had %d", got, c.part)
			}
		})
	}
}

// TestRangesThatDoNotFit: the part is fetched anew.
func TestRangesThatDoNotFit(t *testing.T) {
	p := publish(t, 100_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	size := len(data)
	for _, c := range []struct {
		name   string
		status int
		header string
	}{
		{"416", 416, ""},
		{"no Content-Range", 206, ""},
		{"other start", 206, rangeHeader(0, size-1, size)},
		{"nonsense", 206, "bytes x-y/z"},
		{"end before start", 206, "bytes 5-4/10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := http.FileServer(http.Dir(p.dir))
			web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") == "" {
					inner.ServeHTTP(w, r)
					return
				}
				if c.header != "" {
					w.Header().Set("Content-Range", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write(data)
			}))
			site := bundletest.Store(t)
			part(t, site, w.Forms[0], data[:1000])
			if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick); err != nil {
				t.Fatal(err)
			}
			all(t, site, []fetch.Want{w})
		})
	}
}

// TestLengthThatIsNotSaid: without a Content-Length the bytes themselves tell.
func TestLengthThatIsNotSaid(t *testing.T) {
	data := bundletest.Bytes(1, 50_000)
	w := want(bundletest.BlobOf(data))
	for _, c := range []struct {
		name string
		body []byte
		kind error
		want string
	}{
		{"right", data, nil, ""},
		{"short", data[:40_000], bundle.ErrUnreachable, "it ended after 40000 of 50000 bytes"},
		{"long", append(bytes.Clone(data), 'x'), bundle.ErrDamaged, "longer than its 50000 bytes"},
		{"endless", bytes.Repeat(data, 20), bundle.ErrDamaged, "longer than its 50000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				if err := http.NewResponseController(rw).Flush(); err != nil {
					t.Error(err)
				}
				_, _ = rw.Write(c.body)
			}))
			site := bundletest.Store(t)
			_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
			if !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if site.Has(w.Forms[0]) != (c.kind == nil) {
				t.Errorf("stored: %v", site.Has(w.Forms[0]))
			}
		})
	}
}

func TestTotalOfAnotherFile(t *testing.T) {
	p := publish(t, 100_000)
	w := largest(p.wants)
	data := contentOf(t, p.store, w.Forms[0])
	web := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Range", rangeHeader(1000, 1999, 2000))
		rw.WriteHeader(http.StatusPartialContent)
		_, _ = rw.Write(data[1000:2000])
	}))
	site := bundletest.Store(t)
	part(t, site, w.Forms[0], data[:1000])
	_, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, quick)
	if !errors.Is(err, bundle.ErrDamaged) || !strings.Contains(err.Error(), "the server has 2000 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestSilentLine(t *testing.T) {
	p := publish(t, 100_000)
	w := largest(p.wants)
	web := files(t, p)
	web.cut, web.silent = 20_000, true
	site := bundletest.Store(t)
	opts := fetch.Options{Pause: time.Millisecond, StallTimeout: 200 * time.Millisecond}
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, []fetch.Want{w}, opts)
	if err != nil { // every piece ends in silence, and yet it arrives
		t.Fatal(err)
	}
	if moved.Bytes != w.Forms[0].Size {
		t.Errorf("moved %d bytes of %d", moved, w.Forms[0].Size)
	}
	hung := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	_, err = fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{open(t, hung.URL)}, []fetch.Want{w}, opts)
	if !errors.Is(err, bundle.ErrUnreachable) || !strings.Contains(err.Error(), "the line went silent: nothing came for 200ms") {
		t.Errorf("error %v", err)
	}
	if n := hung.count("/blobs/"); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestNobodyAnswers(t *testing.T) {
	p := publish(t, 1000)
	web := files(t, p)
	src := open(t, web.URL)
	web.Close()
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
	if !errors.Is(err, bundle.ErrUnreachable) || !strings.Contains(err.Error(), "cannot fetch 6 of 6 blobs: "+web.URL) {
		t.Errorf("error %v", err)
	}
	if _, err := src.Document(ctx, bundle.TimestampPath, 1000); !errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}
