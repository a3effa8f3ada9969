package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/manifest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

var syscallENOSPC error = syscall.ENOSPC

var kinds = []bundle.Compression{bundle.Plain, bundle.Gzip, bundle.Zstd}

func readLayer(s *bundle.Store, l manifest.Layer) ([]byte, error) {
	r, err := s.OpenLayer(l)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestOpenLayer(t *testing.T) {
	plain := bundletest.Tar(t, map[string]string{"a": strings.Repeat("words ", 50_000)})
	for _, kind := range kinds {
		t.Run("from "+string(kind), func(t *testing.T) {
			s := bundletest.Store(t)
			l := bundletest.Layer(t, s, kind, plain)
			if !s.HasLayer(l) {
				t.Error("it is not there")
			}
			got, err := readLayer(s, l)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
		})
	}
}

func TestOpenLayerFromUnpackedForm(t *testing.T) {
	plain := bundletest.Tar(t, map[string]string{"a": "b"})
	l := bundletest.Layer(t, bundletest.Store(t), bundle.Gzip, plain)
	s := bundletest.Store(t)
	if s.HasLayer(l) {
		t.Error("an empty store has it")
	}
	bundletest.Put(t, s, plain)
	if !s.HasLayer(l) || s.Has(l.Blob) {
		t.Error("the unpacked form is not recognised")
	}
	if got, err := readLayer(s, l); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}

func TestLayerThatIsNotWhatIsDeclared(t *testing.T) {
	plain := bundletest.Tar(t, map[string]string{"a": strings.Repeat("words ", 1000)})
	for _, kind := range kinds {
		for _, c := range []struct {
			name   string
			change func(*manifest.Layer)
			kind   error
			want   string
		}{
			{"more", func(l *manifest.Layer) { l.DiffSize = 1234; l.DiffID = digest.FromString("x") }, bundle.ErrTooLarge, "unpacks to more than the 1234 bytes that the release declares"},
			{"less", func(l *manifest.Layer) { l.DiffSize += 10; l.DiffID = digest.FromString("x") }, bundle.ErrDamaged, "bytes, and the release declares"},
			{"other", func(l *manifest.Layer) { l.DiffID = digest.FromString("x") }, bundle.ErrDamaged, "it unpacks to the diff ID sha256:"},
		} {
			t.Run(c.name+" "+string(kind), func(t *testing.T) {
				s := bundletest.Store(t)
				l := bundletest.Layer(t, s, kind, plain)
				c.change(&l)
				got, err := readLayer(s, l)
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				if int64(len(got)) > l.DiffSize {
					t.Errorf("%d bytes came out, %d are declared", len(got), l.DiffSize)
				}
			})
		}
	}
}

// TestBomb opens layers that unpack to 4 GB: neither memory nor output may follow.
func TestBomb(t *testing.T) {
	for _, kind := range []bundle.Compression{bundle.Gzip, bundle.Zstd} {
		t.Run(string(kind), func(t *testing.T) {
			s := bundletest.Store(t)
			b := bundletest.Put(t, s, bomb(t, kind, 4<<30))
			l := manifest.Layer{Blob: b, DiffID: digest.FromString("x"), DiffSize: 1 << 20}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := s.OpenLayer(l)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r)
			_ = r.Close()
			runtime.ReadMemStats(&after)
			if !errors.Is(err, bundle.ErrTooLarge) || n > l.DiffSize {
				t.Errorf("%d bytes, error %v", n, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
				t.Errorf("%d MB of memory", used>>20)
			}
		})
	}
}

// bomb makes n zero bytes from frames that are repeated, which is quick.
func bomb(t *testing.T, kind bundle.Compression, n int64) []byte {
	t.Helper()
	var frame bytes.Buffer
	var w io.WriteCloser
	if kind == bundle.Gzip {
		w, _ = gzip.NewWriterLevel(&frame, gzip.BestCompression)
	} else {
		w, _ = zstd.NewWriter(&frame)
	}
	if _, err := w.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(frame.Bytes(), int(n/(16<<20)))
}

// TestWideWindow: a frame that asks for a window of 512 MB is refused before it is allocated.
func TestWideWindow(t *testing.T) {
	s := bundletest.Store(t)
	// magic, descriptor without content size, window descriptor 2^29, a raw last block of one byte
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 0x09, 0x00, 0x00, 'a'}
	b := bundletest.Put(t, s, frame)
	_, err := readLayer(s, manifest.Layer{Blob: b, DiffID: digest.FromString("a"), DiffSize: 1})
	if !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("error %v", err)
	}
}

func TestRottenLayer(t *testing.T) {
	plain := bundletest.Tar(t, map[string]string{"a": strings.Repeat("words ", 1000)})
	for _, kind := range kinds {
		s := bundletest.Store(t)
		l := bundletest.Layer(t, s, kind, plain)
		path := filepath.Join(s.Dir(), bundle.BlobPath(l.Digest))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(good); at += 1 + len(good)/97 {
			rotten := bytes.Clone(good)
			rotten[at] ^= 0x10
			if err := os.WriteFile(path, rotten, 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := readLayer(s, l)
			if err == nil && !bytes.Equal(got, plain) || err != nil && !errors.Is(err, bundle.ErrDamaged) && !errors.Is(err, bundle.ErrTooLarge) {
				t.Errorf("%s, byte %d: error %v", kind, at, err)
			}
		}
		if err := os.WriteFile(path, good[:len(good)-1], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readLayer(s, l); !errors.Is(err, bundle.ErrDamaged) {
			t.Errorf("%s, cut: error %v", kind, err)
		}
	}
}

func TestVerifyImage(t *testing.T) {
	s, r := bundletest.Sample(t, 100_000)
	for _, i := range r.Images {
		if err := s.VerifyImage(ctx, i.Platforms[0]); err != nil {
			t.Error(err)
		}
	}
	image := func() manifest.PlatformImage {
		p := r.Images[0].Platforms[0]
		p.Layers = append([]manifest.Layer{}, p.Layers...)
		return p
	}
	for _, c := range []struct {
		name   string
		change func(*manifest.PlatformImage)
		kind   error
		want   string
	}{
		{"too few layers", func(p *manifest.PlatformImage) { p.Layers = p.Layers[:1] }, bundle.ErrDamaged, "it has 2 layers, and the release declares 1"},
		{"swapped", func(p *manifest.PlatformImage) { p.Layers[0], p.Layers[1] = p.Layers[1], p.Layers[0] }, bundle.ErrDamaged, "layer 1 has the diff ID"},
		{"bomb", func(p *manifest.PlatformImage) { p.Layers[1].DiffSize = 1234 }, bundle.ErrTooLarge, "unpacks to more than the 1234 bytes that the release declares"},
		{"other config", func(p *manifest.PlatformImage) { p.Config = bundletest.Put(t, s, []byte("{}")) }, bundle.ErrDamaged, "it has 0 layers"},
		{"no config", func(p *manifest.PlatformImage) { p.Config = bundletest.Put(t, s, []byte("<html>")) }, bundle.ErrDamaged, "the config is damaged"},
		{"huge config", func(p *manifest.PlatformImage) { p.Config.Size = 1 << 40 }, bundle.ErrTooLarge, "larger than allowed"},
		{"evil diff ID", func(p *manifest.PlatformImage) {
			p.Config = bundletest.Put(t, s, []byte(`{"rootfs":{"diff_ids":["../../x","b"]}}`))
		}, bundle.ErrDamaged, "is not a diff ID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := image()
			c.change(&p)
			err := s.VerifyImage(ctx, p)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "cannot use image sha256:") {
				t.Errorf("error %v does not name the image", err)
			}
		})
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.VerifyImage(ended, image()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
