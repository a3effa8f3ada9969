package fetch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle"
	"dhow/manifest"
)

// newHanging is a folder with a timestamp whose server hangs until goOn is called.
func newHanging(t *testing.T) (f *folder, goOn func()) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, bundle.MetadataDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, bundle.TimestampPath), []byte("now"), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := openFolder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	f = src.(*folder)
	f.waiter = &waiter{stall: 50 * time.Millisecond}
	f.mu.Lock() // as while a call of the system below it hangs
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, f.mu.Unlock
}

// TestHungFolder: a server that is gone keeps nobody, piles nothing up, and is used again when it is back.
func TestHungFolder(t *testing.T) {
	f, goOn := newHanging(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := f.Blob(ctx, manifest.Blob{Digest: "sha256:" + manifest256, Size: 3}, 0); !errors.Is(err, stopped) {
		t.Errorf("who was stopped gets %v", err)
	}
	for range mostHanging {
		if _, err := f.Document(t.Context(), bundle.TimestampPath, 100); !errors.Is(err, bundle.ErrUnreachable) {
			t.Fatalf("it hangs: %v", err)
		}
	}
	if _, err := f.Document(t.Context(), bundle.TimestampPath, 100); err == nil || !strings.HasSuffix(err.Error(), f.name+" hangs") {
		t.Errorf("it hangs for everybody: %v", err)
	}
	goOn()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		data, err := f.Document(t.Context(), bundle.TimestampPath, 100)
		if err == nil && string(data) == "now" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is back: %q %v", data, err)
		}
	}
}

const manifest256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// TestHungRead: a read that does not return ends with who waits for it, and with the time for a stall.
func TestHungRead(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pw.Close()
	p := &waiter{stall: 50 * time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	f := &patientFile{ctx: ctx, p: p, path: "x", r: pr}
	if _, err := pw.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	if _, err := io.ReadFull(f, buf); err != nil || string(buf) != "hel" {
		t.Fatalf("%q %v", buf, err)
	}
	if _, err := io.ReadFull(f, buf); !errors.Is(err, errStalled) || !errors.Is(err, bundle.ErrUnreachable) {
		t.Errorf("a read that hangs: %v", err)
	}
	cancel()
	if _, err := f.Read(buf); !errors.Is(err, context.Canceled) {
		t.Errorf("who was stopped gets %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
