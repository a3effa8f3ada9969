package fetch_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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

// childVariable makes the test program fetch one blob, so that it can be killed: its value is the source, the folder of the store, and
// the blob's digest and size.
const childVariable = "DHOW_FETCH_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		if err := child(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(spec string) error {
	var source, dir, d string
	var size int64
	if _, err := fmt.Sscan(spec, &source, &dir, &d, &size); err != nil {
		return err
	}
	store, err := bundle.OpenStore(dir)
	if err != nil {
		return err
	}
	src, err := fetch.Open(ctx, source)
	if err != nil {
		return err
	}
	want := fetch.Want{Forms: []manifest.Blob{{Digest: digest.Digest(d), Size: size}}}
	_, err = fetch.Blobs(ctx, store, []bundle.Source{src}, []fetch.Want{want}, quick)
	return err
}

// webWith serves a folder that holds one blob, and returns where.
func webWith(t *testing.T, data []byte) (address string, b manifest.Blob) {
	t.Helper()
	b = bundletest.BlobOf(data)
	dir := t.TempDir()
	path := filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(b.Digest)))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), b
}

// TestBadLines is the short form of scripts/bench flaky-link: how much moves over a real connection that is cut, reset, silent or slow,
// lost bytes included.
func TestBadLines(t *testing.T) {
	const whole = 20_000_000
	big := bundletest.Bytes(5, whole)
	for _, c := range []struct {
		name  string
		data  []byte
		line  badline.Line
		ended int64 // connections
		most  float64
		least time.Duration
	}{
		{"cut every 3 MB", big, badline.Line{After: 3_000_000}, 6, 1.02, 0},
		{"reset every 1 MB", big, badline.Line{After: 1_000_000, End: badline.Reset}, 20, 1.1, 0},
		{"silent after 9 MB", big, badline.Line{After: 9_000_000, End: badline.Silent}, 2, 1.05, 800 * time.Millisecond},
		{"256 kbit/s, 600 ms", big[:48_000], badline.Line{Rate: 32_000, Trip: 600 * time.Millisecond}, 0, 1.02, 2600 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, b := webWith(t, c.data)
			line, err := badline.Open(address, c.line)
			if err != nil {
				t.Fatal(err)
			}
			defer line.Close()
			site := bundletest.Store(t)
			start := time.Now()
			opts := fetch.Options{Pause: time.Millisecond, StallTimeout: 400 * time.Millisecond}
			if c.least > time.Second {
				opts.StallTimeout = 2 * time.Second
			}
			want := fetch.Want{Forms: []manifest.Blob{b}}
			if _, err := fetch.Blobs(ctx, site, []bundle.Source{open(t, "http://"+line.Address())}, []fetch.Want{want}, opts); err != nil {
				t.Fatal(err)
			}
			if !site.Has(b) {
				t.Error("it is not stored")
			}
			moved := float64(line.Moved()) / float64(b.Size)
			if moved > c.most || moved < 1 {
				t.Errorf("%.3f times its size were moved, at most %.2f are allowed", moved, c.most)
			}
			if line.Ended() < c.ended || line.Ended() > c.ended+2 {
				t.Errorf("%d connections broke, want %d", line.Ended(), c.ended)
			}
			if took := time.Since(start); took < c.least {
				t.Errorf("it took %v, and the line takes %v", took, c.least)
			}
		})
	}
}

// TestKilledAtHalf: the process ends without warning; the next one goes on where it was.
func TestKilledAtHalf(t *testing.T) {
	address, b := webWith(t, bundletest.Bytes(6, 20_000_000))
	half := make(chan bool)
	var once sync.Once
	line, err := badline.Open(address, badline.Line{Rate: 40_000_000, Seen: func(n int64) {
		if n >= b.Size/2 {
			once.Do(func() { close(half) })
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	dir := t.TempDir()
	var out bytes.Buffer
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=http://%s %s %s %d", childVariable, line.Address(), dir, b.Digest, b.Size))
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	first := start()
	<-half
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Fatal("it was done before it was killed")
	}
	if err := start().Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	store, err := bundle.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !store.Has(b) {
		t.Error("it is not stored")
	}
	if moved := float64(line.Moved()) / float64(b.Size); moved > 1.05 || moved < 1 {
		t.Errorf("%.3f times its size were moved", moved)
	}
}
