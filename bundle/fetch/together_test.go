package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/bundletest/badline"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// shelf is a source of this process whose answers can be made to fail. It notes what it is asked for.
type shelf struct {
	name  string
	blobs map[digest.Digest][]byte

	mu     sync.Mutex
	away   bool // nobody answers
	breaks int  // an answer breaks off behind this place of a blob, and the shelf is away from then on; 0 for never
	gave   map[digest.Digest]int
	asked  []digest.Digest
	now    int // answers that are being read
	top    int
}

func newShelf(name string, contents ...[]byte) *shelf {
	s := &shelf{name: name, blobs: map[digest.Digest][]byte{}, gave: map[digest.Digest]int{}}
	for _, c := range contents {
		s.blobs[digest.FromBytes(c)] = c
	}
	return s
}

func (s *shelf) Name() string { return s.name }

func (s *shelf) Close() error { return nil }

func (s *shelf) Document(context.Context, string, int64) ([]byte, error) { return nil, fs.ErrNotExist }

var errAway = fmt.Errorf("%w: pulled out", bundle.ErrUnreachable)

func (s *shelf) Blob(_ context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, b.Digest)
	data, ok := s.blobs[b.Digest]
	switch {
	case s.away:
		return nil, errAway
	case !ok:
		return nil, fmt.Errorf("cannot read blob %s: %w", b.Digest, fs.ErrNotExist)
	}
	s.now++
	s.top = max(s.top, s.now)
	return &shelfReader{s, b.Digest, data, int(offset)}, nil
}

func (r *shelfReader) Close() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.now--
	return nil
}

type shelfReader struct {
	s    *shelf
	d    digest.Digest
	data []byte
	at   int
}

func (r *shelfReader) Read(p []byte) (int, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	end := len(r.data)
	if r.s.breaks > 0 {
		end = min(end, r.s.breaks)
	}
	if r.s.away || r.at >= end && end < len(r.data) {
		r.s.away = true
		return 0, errAway
	}
	n := copy(p, r.data[r.at:end])
	r.at += n
	r.s.gave[r.d] += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *shelf) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.gave {
		n += m
	}
	return n
}

// contentsOf makes n contents of size bytes, and the wants for them.
func contentsOf(n, size int) (contents [][]byte, wants []fetch.Want) {
	for i := range n {
		data := bundletest.Bytes(uint64(100+i), size)
		contents = append(contents, data)
		wants = append(wants, want(bundletest.BlobOf(data)))
	}
	return contents, wants
}

// TestStickIsPulledOutAndComesBack: the line goes on at the byte, and the next blob comes from the stick again.
func TestStickIsPulledOutAndComesBack(t *testing.T) {
	const size = 300_000
	contents, wants := contentsOf(3, size)
	stick, line := newShelf("/media/usb", contents...), newShelf("https://registry.example.org/emr", contents...)
	stick.breaks = 100_000
	site := bundletest.Store(t)
	opts := quick
	opts.Progress = func(done, _ int64) {
		if done >= size { // the first blob is here
			stick.mu.Lock()
			stick.away, stick.breaks = false, 0
			stick.mu.Unlock()
		}
	}
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{stick, line}, wants, opts)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, wants)
	if stick.total() != 100_000+2*size || line.total() != size-100_000 || moved.Line != size-100_000 || moved.Bytes != 3*size {
		t.Errorf("the stick gave %d, the line %d; moved %+v", stick.total(), line.total(), moved)
	}
	if moved.Active <= 0 || moved.Active > time.Minute || len(moved.Wrong) != 0 {
		t.Errorf("moved %+v", moved)
	}
}

// TestNeighbourIsAskedAgainAfterAWhile: a source of another computer that does not answer isn't waited for at each blob.
func TestNeighbourIsAskedAgainAfterAWhile(t *testing.T) {
	contents, wants := contentsOf(4, 1000)
	near, far := newShelf("http://10.0.0.7:8911", contents...), newShelf("https://example.org/emr", contents...)
	near.away = true
	opts := fetch.Options{Pause: 5 * time.Millisecond}
	opts.Progress = func(done, _ int64) {
		if done == 3000 { // it is 150 ms until it may be asked again
			near.mu.Lock()
			near.away = false
			near.mu.Unlock()
			until := time.Now().Add(200 * time.Millisecond)
			<-time.After(time.Until(until))
		}
	}
	if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{near, far}, wants, opts); err != nil {
		t.Fatal(err)
	}
	if len(near.asked) != 3+1 || near.total() != 1000 || far.total() != 3000 {
		t.Errorf("the neighbour was asked %d times and gave %d bytes, the other one %d", len(near.asked), near.total(), far.total())
	}
}

// TestSourceThatLies is set aside and named; a stick is asked on, since that costs nothing.
func TestSourceThatLies(t *testing.T) {
	contents, wants := contentsOf(3, 50_000)
	for name, more := range map[string]int{"http://10.0.0.7:8911": 0, "https://mirror.example.org/emr": 0, "/media/usb": 2} {
		liar, far := newShelf(name, contents...), newShelf("https://example.org/emr", contents...)
		bad := wants[0].Forms[0].Digest
		liar.blobs[bad] = append([]byte("x"), contents[0][1:]...)
		site := bundletest.Store(t)
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{liar, far}, wants, quick)
		if err != nil {
			t.Fatal(err)
		}
		all(t, site, wants)
		if len(liar.asked) != 1+more || far.total() != 50_000*(3-more) {
			t.Errorf("%s was asked %d times, the other one gave %d bytes", name, len(liar.asked), far.total())
		}
		text := name + ": blob " + bad.String() + " is damaged: its content has the digest " + digest.FromBytes(liar.blobs[bad]).String()
		if len(moved.Wrong) != 1 || moved.Wrong[0].Error() != text {
			t.Errorf("wrong are %v, want %s", moved.Wrong, text)
		}
	}
}

// TestWrongBeginning: the one who gave it is found out when another source brings the whole, and is not asked again.
func TestWrongBeginning(t *testing.T) {
	contents, wants := contentsOf(2, 100_000)
	liar, good := newShelf("http://10.0.0.7:8911", contents...), newShelf("https://example.org/emr", contents...)
	first := wants[0].Forms[0].Digest
	liar.blobs[first] = append([]byte("x"), contents[0][1:]...)
	liar.breaks = 40_000
	opts := quick
	opts.Progress = func(done, _ int64) {
		if done >= 100_000 {
			liar.mu.Lock()
			liar.away, liar.breaks = false, 0
			liar.mu.Unlock()
		}
	}
	opts.Pause = time.Nanosecond // so that it would be asked again at once
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{liar, good}, wants, opts)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, wants)
	if good.total() != 60_000+100_000+100_000 || liar.total() != 40_000 {
		t.Errorf("the good one gave %d bytes, the other one %d", good.total(), liar.total())
	}
	if len(moved.Wrong) != 1 || !strings.HasPrefix(moved.Wrong[0].Error(), liar.name+": blob "+first.String()+" is damaged: what it gave of it") {
		t.Errorf("wrong are %v", moved.Wrong)
	}
}

// TestGate: it is asked for what comes over a line only, and its error ends everything, whatever it wraps.
func TestGate(t *testing.T) {
	contents, wants := contentsOf(4, 200_000)
	enough := fmt.Errorf("the budget of the day is used up: %w", bundle.ErrUnreachable)
	for name, asked := range map[string]bool{"/media/usb": false, "http://10.0.0.7:8911": false, "https://example.org/emr": true} {
		var let int
		opts := quick
		opts.Gate = func(_ context.Context, n int) error {
			if let += n; let > 250_000 {
				return enough
			}
			return nil
		}
		site := bundletest.Store(t)
		next := newShelf("https://other.example.org/emr", contents...)
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{newShelf(name, contents...), next}, wants, opts)
		if !asked {
			if err != nil || let != 0 {
				t.Errorf("%s: asked for %d bytes, error %v", name, let, err)
			}
			continue
		}
		if err != enough || len(next.asked) != 0 || moved.Line != int64(let) {
			t.Errorf("error %v, asked for %d bytes of %+v, %d of the next source", err, let, moved, next.total())
		}
		if got := site.PartialSize(wants[1].Forms[0]); !site.Has(wants[0].Forms[0]) || got != int64(let)-200_000 {
			t.Errorf("the part has %d bytes", got)
		}
	}
}

// TestForms: the first form that the nearest source has is taken, and what was begun of another goes.
func TestForms(t *testing.T) {
	contents, _ := contentsOf(3, 90_000)
	small := contents[0][:30_000]
	w := want(bundletest.BlobOf(small), bundletest.BlobOf(contents[1]), bundletest.BlobOf(contents[2]))
	for _, c := range []struct {
		name      string
		near, far [][]byte
		got       int
	}{
		{"preferred", [][]byte{contents[2], small}, [][]byte{contents[1]}, 0},
		{"nearest", [][]byte{contents[2]}, [][]byte{small, contents[1]}, 2},
		{"last resort", nil, [][]byte{contents[2]}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := bundletest.Store(t)
			for i, data := range [][]byte{small, contents[1], contents[2]} {
				if i != c.got {
					part(t, site, w.Forms[i], data[:100])
				}
			}
			var last, of int64
			opts := quick
			opts.Progress = func(done, total int64) {
				if done < last {
					t.Errorf("progress %d after %d", done, last)
				}
				last, of = done, total
			}
			moved, err := fetch.Blobs(ctx, site, []bundle.Source{newShelf("/a", c.near...), newShelf("https://b.org", c.far...)}, []fetch.Want{w}, opts)
			if err != nil || moved.Bytes != w.Forms[c.got].Size || last != 30_000 || of != 30_000 {
				t.Errorf("moved %+v, progress %d of %d, error %v", moved, last, of, err)
			}
			for i, b := range w.Forms {
				if site.Has(b) != (i == c.got) || site.PartialSize(b) != 0 {
					t.Errorf("form %d: %v, a part of %d bytes", i, site.Has(b), site.PartialSize(b))
				}
			}
		})
	}
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{newShelf("/a"), newShelf("/b")}, []fetch.Want{w}, quick)
	want := fmt.Sprintf("cannot fetch 1 blob: /a: cannot read blob %[1]s: file does not exist; /b: cannot read blob %[1]s: file does not exist", w.Forms[0].Digest)
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

// sender is a web server that has bounds, and notes how many answers run side by side.
type sender struct {
	*server
	mu       sync.Mutex
	now, top int
	alone    time.Duration // with one answer at a time
	side     time.Duration // with several
	since    time.Time
}

// send serves blobs, each answer at rate bytes per second, 0 for any.
func send(t *testing.T, rate int, most int, contents ...[]byte) *sender {
	s := &sender{since: time.Now()}
	blobs := map[string][]byte{}
	for _, c := range contents {
		blobs["/"+bundle.BlobPath(digest.FromBytes(c))] = c
	}
	s.server = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.count(1)
		defer s.count(-1)
		if n > most {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		http.ServeContent(&slow{w, rate, time.Now()}, r, "", bundletest.Made, bytes.NewReader(blobs[r.URL.Path]))
	}))
	return s
}

func (s *sender) count(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch took := now.Sub(s.since); {
	case s.now == 1:
		s.alone += took
	case s.now > 1:
		s.side += took
	}
	s.since = now
	s.now += n
	s.top = max(s.top, s.now)
	return s.now
}

type slow struct {
	http.ResponseWriter
	rate int
	due  time.Time
}

func (s *slow) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		piece := p[n:min(len(p), n+16<<10)]
		if s.rate > 0 {
			s.due = s.due.Add(time.Duration(len(piece)) * time.Second / time.Duration(s.rate))
			<-time.After(time.Until(s.due))
		}
		var m int
		m, err = s.ResponseWriter.Write(piece)
		n += m
	}
	return n, err
}

// TestSideBySide: where each connection is slow more of them run, where they share a thin line only one does but for a short try.
func TestSideBySide(t *testing.T) {
	contents, wants := contentsOf(10, 1_500_000)
	opts := fetch.Window(quick, 50*time.Millisecond)

	t.Run("each is slow", func(t *testing.T) {
		t.Parallel()
		web := send(t, 3_000_000, 100, contents...)
		site := bundletest.Store(t)
		told := int64(-1)
		opts := opts
		opts.Progress = func(done, _ int64) {
			if done <= told {
				t.Errorf("progress %d after %d", done, told)
			}
			told = done
		}
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, wants, opts)
		if err != nil {
			t.Fatal(err)
		}
		all(t, site, wants)
		web.Close() // waits for its answers
		if web.top < 2 || web.top > 4 || web.side < web.alone/4 || told != fetch.Size(wants) || moved.Bytes < told {
			t.Errorf("%d at most, alone for %v, several for %v; told %d, moved %d", web.top, web.alone, web.side, told, moved.Bytes)
		}
	})
	t.Run("they share the line", func(t *testing.T) {
		t.Parallel()
		web := send(t, 0, 100, contents...)
		line, err := badline.Open(strings.TrimPrefix(web.URL, "http://"), badline.Line{Rate: 8_000_000})
		if err != nil {
			t.Fatal(err)
		}
		site := bundletest.Store(t)
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, "http://"+line.Address())}, wants, opts)
		if err != nil {
			t.Fatal(err)
		}
		all(t, site, wants)
		line.Close()
		web.Close()
		if web.top > 3 || web.side > web.alone || moved.Bytes != fetch.Size(wants) {
			t.Errorf("%d at most, alone for %v, several for %v; moved %d", web.top, web.alone, web.side, moved.Bytes)
		}
	})
	t.Run("only one is let in", func(t *testing.T) {
		t.Parallel()
		web := send(t, 3_000_000, 1, contents...)
		site := bundletest.Store(t)
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, web.URL)}, wants[:5], opts)
		if err != nil {
			t.Fatal(err)
		}
		all(t, site, wants[:5])
		if moved.Bytes != fetch.Size(wants[:5]) {
			t.Errorf("moved %d", moved.Bytes)
		}
	})
	t.Run("this computer", func(t *testing.T) {
		disk := newShelf("/srv/mirror", contents...)
		if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{disk}, wants, opts); err != nil || disk.top != 1 {
			t.Errorf("%d at once, error %v", disk.top, err)
		}
	})
}

// TestRateOfAllTogether: the limit holds for all transfers together.
func TestRateOfAllTogether(t *testing.T) {
	contents, wants := contentsOf(6, 100_000)
	web := send(t, 300_000, 100, contents...)
	opts := fetch.Window(quick, 50*time.Millisecond)
	opts.Rate = 1_000_000
	begin := time.Now()
	if _, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{fetch.At(open(t, web.URL), fetch.Line)}, wants, opts); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("0.6 MB at 1 MB/s took %v", took)
	}
}

// TestFolderThatComesBack: a stick that was pulled out is another folder than before, under the same name.
func TestFolderThatComesBack(t *testing.T) {
	p := publish(t, 10_000)
	dir := filepath.Join(t.TempDir(), "usb")
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	src := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err := fetch.Blobs(ctx, bundletest.Store(t), []bundle.Source{src}, p.wants, quick)
	if !errors.Is(err, bundle.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	site := bundletest.Store(t)
	if _, err := fetch.Blobs(ctx, site, []bundle.Source{src}, p.wants, quick); err != nil {
		t.Error(err)
	}
	all(t, site, p.wants)
}
