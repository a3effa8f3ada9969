package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shout is an output that may be read while somebody writes.
type shout struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shout) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shout) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestServe gives away a bundle, and what dhow fetch has brought, until it is stopped.
func TestServe(t *testing.T) {
	f := newFleet(t)
	work := t.TempDir()
	if err := f.write(work); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	cache, bundle := filepath.Join(work, "cache"), filepath.Join(work, "emr.tgz")
	call := func(args ...string) {
		t.Helper()
		var out shout
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != 0 {
			t.Fatalf("%v: %d\n%s", args, code, out.String())
		}
	}
	call("fetch", "--site", "kin-001", "--from", filepath.Join(work, "fleet"), "--root", filepath.Join(work, "root.json"), "--fingerprint", f.fingerprint,
		"--cache", cache, "-o", bundle)
	for dir, about := range map[string]string{
		bundle:                       "fleet emr, release 1.0.0 from " + bundle,
		cache:                        "fleet emr, manifest 1, release 1.0.0 from " + cache,
		filepath.Join(work, "fleet"): "fleet emr, release 1.0.0 from " + filepath.Join(work, "fleet"),
	} {
		address := freeAddress(t)
		ctx, stop := context.WithCancel(t.Context())
		var out, problems shout
		ended := make(chan int)
		go func() {
			ended <- run(ctx, []string{"serve", "--dir", dir, "--listen", address}, strings.NewReader(""), &out, &problems)
		}()
		ready := false
		tick := time.NewTicker(20 * time.Millisecond)
		for deadline := time.Now().Add(10 * time.Second); !ready && time.Now().Before(deadline); <-tick.C {
			if resp, err := http.Get("http://" + address + "/metadata/timestamp.json"); err == nil {
				ready = resp.StatusCode == 200
				_ = resp.Body.Close()
			}
		}
		tick.Stop()
		if !ready {
			t.Errorf("%s: nobody answers\n%s", dir, problems.String())
		}
		call("fetch", "--site", "kin-001", "--from", "http://"+address, "--root", filepath.Join(work, "root.json"), "--fingerprint", f.fingerprint,
			"--cache", t.TempDir(), "-o", filepath.Join(t.TempDir(), "again.tar"))
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("%s: it ended with %d\n%s", dir, code, problems.String())
		}
		if dir == bundle {
			room := filepath.Join(home, "dhow", "serve", "1")
			about += "\nunpacked  into " + room + " until this ends"
			if _, err := os.Stat(room); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was unpacked is still there: %v", err)
			}
		}
		want := fmt.Sprintf("serving   %s\nsource    http://%s\n", about, address) +
			"Write one of these into the sources of the other sites (dhow.yaml), or there: dhow update --from SOURCE. Stop with Ctrl-C.\n"
		if got := out.String(); got != want {
			t.Errorf("it says\n%swant\n%s", got, want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--dir", bundle, "--listen", taken.Addr().String()}, 4, "dhow: cannot listen: "},
		{[]string{"--dir", bundle, "--listen", "8911"}, 2, `dhow: --listen must look like ":8911", or "192.168.1.5:8911" for one network`},
		{[]string{"--dir", bundle, "--listen", "office:8911"}, 2, "dhow: --listen: the host must be an address of this computer, or be left out"},
		{[]string{"--dir", "oci://a/b"}, 2, "dhow: --dir must be a path of this computer"},
		{[]string{"--dir", filepath.Join(work, "nothing")}, 6, "dhow: cannot open source "},
		{[]string{"--dir", filepath.Dir(work)}, 5, "dhow: cannot open source "},
	} {
		var out shout
		code := run(t.Context(), append([]string{"serve"}, c.args...), strings.NewReader(""), &out, &out)
		if code != c.code || !strings.HasPrefix(out.String(), c.says) {
			t.Errorf("%q: %d, want %d\n%s", c.args, code, c.code, out.String())
		}
	}
}
