package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/bundletest/badline"
	"dhow/bundle/fetch"
)

// TestKilledAgainAndAgain kills a process at any moment of its fetch, many times: each time at most 1 MB moves again.
func TestKilledAgainAndAgain(t *testing.T) {
	const kills, again = 10, 1 << 20
	address, b := webWith(t, bundletest.Bytes(11, 30_000_000))
	var moved atomic.Int64
	seen := make(chan struct{}, 1)
	line, err := badline.Open(address, badline.Line{Rate: 40_000_000, Seen: func(n int64) {
		moved.Store(n)
		select {
		case seen <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	dir := t.TempDir()
	for n := range kills + 1 {
		cmd := exec.Command(os.Args[0])
		var out bytes.Buffer
		cmd.Stderr = &out
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=http://%s %s %s %d", childVariable, line.Address(), dir, b.Digest, b.Size))
		until := moved.Load() + rand.Int64N(b.Size/kills)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for n < kills && moved.Load() < until {
			<-seen
		}
		if n < kills {
			_ = cmd.Process.Kill() // it may be done
		}
		if err := cmd.Wait(); n == kills && err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
	}
	site, err := bundle.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.Read(b, b.Size); err != nil {
		t.Error(err)
	}
	more := line.Moved() - b.Size
	t.Logf("%d bytes moved again, %d for each of %d kills", more, more/kills, kills)
	if more > kills*again {
		t.Errorf("%d bytes moved again, %d for each of %d kills", more, more/kills, kills)
	}
}

// TestDamagedBeginning: what a power cut has left in place of the beginning is found before the rest is fetched, and fetched again alone.
func TestDamagedBeginning(t *testing.T) {
	contents, wants := contentsOf(1, 4<<20)
	for _, at := range []int{0, 1 << 20, 3<<20 - 1} {
		site := bundletest.Store(t)
		part(t, site, wants[0].Forms[0], contents[0][:3<<20])
		path := site.Dir() + "/partial/" + wants[0].Forms[0].Digest.Encoded()
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{contents[0][at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		moved, err := fetch.Blobs(ctx, site, []bundle.Source{newShelf("https://example.org/emr", contents...)}, wants, quick)
		if err != nil {
			t.Fatal(err)
		}
		all(t, site, wants)
		if least := int64(4<<20 - at); moved.Line < least || moved.Line > least+256<<10 {
			t.Errorf("damaged at %d: %d bytes moved again", at, moved.Line)
		}
	}
}

// tape is a source that is read front to back, and can be pulled out.
type tape struct {
	*shelf
	order []int
	all   [][]byte
	runs  int
}

func (s *tape) Each(ctx context.Context, take func(d string, size int64, r io.Reader) error) error {
	s.runs++
	for _, i := range s.order {
		b := bundletest.BlobOf(s.all[i])
		r, err := s.Blob(ctx, b, 0)
		if err != nil {
			return err
		}
		if err := take(b.Digest.String(), b.Size, r); err != nil {
			return err
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// TestStreamThatBreaksOff: what came of the blob in the middle of which a stick was pulled out is its beginning; when the stick is back it
// gives the rest.
func TestStreamThatBreaksOff(t *testing.T) {
	contents, wants := contentsOf(4, 200_000)
	usb := t.TempDir() + "/emr.tgz"
	stick := &tape{shelf: newShelf(usb, contents...), order: []int{0, 1, 2, 3}, all: contents}
	line := newShelf("https://example.org/emr", contents...)
	stick.breaks = 50_000 // of each
	opts := quick
	opts.Pause = time.Nanosecond
	opts.Progress = func(done, _ int64) {
		if done == 200_000 { // the line has brought the first one
			stick.mu.Lock()
			stick.away, stick.breaks = false, 0
			stick.mu.Unlock()
			if err := os.WriteFile(usb, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	site := bundletest.Store(t)
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{stick, line}, wants, opts)
	if err != nil {
		t.Fatal(err)
	}
	all(t, site, wants)
	if line.total() != 150_000 || moved.Line != 150_000 || stick.runs != 2 {
		t.Errorf("the line gave %d bytes, moved %+v, the stick was read %d times", line.total(), moved, stick.runs)
	}
}

// TestStreamGoesOn: a stream gives what is missing behind a beginning that came over the line; one that doesn't fit is given up.
func TestStreamGoesOn(t *testing.T) {
	contents, wants := contentsOf(1, 200_000)
	for name, here := range map[string][]byte{
		"right":  contents[0][:120_000],
		"whole":  contents[0],
		"wrong":  append(bytes.Clone(contents[0][:70_000]), make([]byte, 30_000)...),
		"zeros":  make([]byte, 100_000),
		"broken": contents[0][:1],
	} {
		site := bundletest.Store(t)
		part(t, site, wants[0].Forms[0], here)
		stick := &tape{shelf: newShelf("/media/usb/emr.tgz", contents...), order: []int{0}, all: contents}
		if name == "broken" {
			stick.breaks = 90_000
		}
		_, err := fetch.Blobs(ctx, site, []bundle.Source{stick}, wants, quick)
		if name == "broken" {
			if got := site.PartialSize(wants[0].Forms[0]); err == nil || got != 90_000 {
				t.Errorf("the part has %d bytes, error %v", got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all(t, site, wants)
	}
	// What a damaged stick gives is not put behind what was dear.
	site := bundletest.Store(t)
	part(t, site, wants[0].Forms[0], contents[0][:120_000])
	torn := newShelf("/media/usb/emr.tgz", contents...)
	_, err := fetch.Blobs(ctx, site, []bundle.Source{&cutTape{torn, contents[0]}}, wants, quick)
	if got := site.PartialSize(wants[0].Forms[0]); err == nil || got != 120_000 {
		t.Errorf("the part has %d bytes, error %v", got, err)
	}
}

// cutTape ends in the middle of a blob.
type cutTape struct {
	*shelf
	data []byte
}

func (s *cutTape) Each(_ context.Context, take func(d string, size int64, r io.Reader) error) error {
	b := bundletest.BlobOf(s.data)
	short := io.MultiReader(bytes.NewReader(s.data[:150_000]), failing{})
	return take(b.Digest.String(), b.Size, short)
}

type failing struct{}

func (failing) Read([]byte) (int, error) {
	return 0, fmt.Errorf("it is %w: cut short", bundle.ErrDamaged)
}

// TestSharedForm: two layers that unpack to the same thing are both there when it has come, and never brought at once.
func TestSharedForm(t *testing.T) {
	contents, _ := contentsOf(3, 100_000)
	a, b, plain := bundletest.BlobOf(contents[0]), bundletest.BlobOf(contents[1]), bundletest.BlobOf(contents[2])
	site := bundletest.Store(t)
	src := newShelf("https://example.org/emr", contents[2])
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{src}, []fetch.Want{want(a, plain), want(b, plain)}, quick)
	if err != nil || moved.Bytes != 100_000 {
		t.Errorf("moved %+v, error %v", moved, err)
	}
	if entries, err := fs.ReadDir(os.DirFS(site.Dir()), "partial"); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}
