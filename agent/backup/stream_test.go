package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// tarOf makes a tar of files.
func tarOf(t *testing.T, at time.Time, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range append([]string{"./"}, files...) {
		name, content, _ := strings.Cut(f, "=")
		h := &tar.Header{Name: name, Mode: 0o640, Uid: 999, Size: int64(len(content)), ModTime: at, Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var made2020 = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func TestStream(t *testing.T) {
	dir := t.TempDir()
	data := tarOf(t, made2020, "./a=content", "./sub/", "./sub/b="+strings.Repeat("long ", 5000))
	var last int64
	s, err := SaveStream(t.Context(), dir, "far", bytes.NewReader(data), func(done, _ int64) { last = done })
	if err != nil || s.Bytes != int64(len(data)) || last != s.Bytes {
		t.Fatalf("%+v, told %d: %v", s, last, err)
	}
	r, err := OpenStream(t.Context(), dir, s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(back, data) || r.Close() != nil {
		t.Errorf("another tar came back: %v", err)
	}
	if err := CheckStream(t.Context(), s, bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	for what, other := range map[string][]byte{
		"content":   tarOf(t, made2020, "./a=Content", "./sub/", "./sub/b="+strings.Repeat("long ", 5000)),
		"a file":    tarOf(t, made2020, "./a=content", "./sub/"),
		"the times": tarOf(t, made2020.Add(time.Second), "./a=content", "./sub/", "./sub/b="+strings.Repeat("long ", 5000)),
	} {
		if err := CheckStream(t.Context(), s, bytes.NewReader(other)); err == nil {
			t.Errorf("a volume with another %s was taken as right", what)
		}
	}
	// A second one replaces the first.
	again, err := SaveStream(t.Context(), dir, "far", bytes.NewReader(tarOf(t, made2020, "./a=new")), nil)
	if err != nil || again.Content == s.Content {
		t.Fatalf("%+v: %v", again, err)
	}
	if err := verifyStream(t.Context(), dir, s); !errors.Is(err, ErrDamaged) {
		t.Errorf("the first one is still there: %v", err)
	}
}

func TestStreamThatBreaksOff(t *testing.T) {
	data := tarOf(t, made2020, "./a=content", "./b="+strings.Repeat("x", 3000))
	dir := t.TempDir()
	for cut := 0; cut < len(data); cut += 512 {
		if _, err := SaveStream(t.Context(), dir, "v", bytes.NewReader(data[:cut]), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", cut, len(data), err)
		}
	}
	broken := io.MultiReader(bytes.NewReader(data[:700]), iotest.ErrReader(os.ErrDeadlineExceeded))
	if _, err := SaveStream(t.Context(), dir, "v", broken, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a broken line: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := SaveStream(ctx, dir, "v", bytes.NewReader(data), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, streamsDir))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, name := range []string{"", "..", "a/b"} {
		if _, err := SaveStream(t.Context(), dir, name, bytes.NewReader(data), nil); err == nil {
			t.Errorf("a volume named %q", name)
		}
	}
}
