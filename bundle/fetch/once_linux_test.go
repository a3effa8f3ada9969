package fetch_test

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// block is what generated layers are made of, with the layer's number in front.
var block = bundletest.Bytes(77, 1<<20)

// layerOf writes the layer number n of size bytes.
func layerOf(w io.Writer, n int, size int64) error {
	head := []byte(fmt.Sprintf("layer %d\n", n))
	for size > 0 {
		for _, data := range [][]byte{head, block} {
			data = data[:min(int64(len(data)), size)]
			if _, err := w.Write(data); err != nil {
				return err
			}
			size -= int64(len(data))
		}
	}
	return nil
}

// saved is what docker save writes of layers of these sizes: as an old engine does, a new one, or a bundle of them.
type saved struct {
	kind  string
	sizes []int64
	ids   []digest.Digest
	read  atomic.Int64 // bytes
	heap  atomic.Uint64
}

func newSaved(t testing.TB, kind string, sizes ...int64) *saved {
	s := &saved{kind: kind, sizes: sizes}
	for n, size := range sizes {
		h := digest.SHA256.Digester()
		if err := layerOf(h.Hash(), n, size); err != nil {
			t.Fatal(err)
		}
		s.ids = append(s.ids, h.Digest())
	}
	return s
}

func (s *saved) write(w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	files := tar.NewWriter(z)
	entry := func(name string, kind byte, size int64, fill func() error) {
		if err == nil {
			err = files.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Mode: 0o644, Size: size})
		}
		if err == nil && fill != nil {
			err = fill()
		}
	}
	small := func(name, text string) {
		entry(name, tar.TypeReg, int64(len(text)), func() error { _, err := io.WriteString(files, text); return err })
	}
	switch s.kind {
	case "bundle":
		small("metadata/1.root.json", "{}")
		small("metadata/timestamp.json", "{}")
	case "new engine":
		entry("blobs/", tar.TypeDir, 0, nil)
		entry("blobs/sha256/", tar.TypeDir, 0, nil)
	}
	for n, size := range s.sizes {
		name := bundle.BlobPath(s.ids[n])
		if s.kind == "old engine" {
			name = digest.FromString(fmt.Sprint(n)).Encoded() + "/layer.tar"
		}
		entry(name, tar.TypeReg, size, func() error { return layerOf(files, n, size) })
	}
	if s.kind != "bundle" {
		small("manifest.json", "[]")
	}
	if err == nil {
		err = files.Close()
	}
	if err == nil {
		err = z.Close()
	}
	return err
}

// open makes the archive while it is read: it is nowhere as a whole.
func (s *saved) open() (io.ReadCloser, int64, error) {
	out, in := io.Pipe()
	go func() { in.CloseWithError(s.write(in)) }()
	return &watched{out, s}, s.total(), nil
}

func (s *saved) total() (n int64) {
	for _, size := range s.sizes {
		n += size
	}
	return n
}

// watched counts what is read, and looks at the heap meanwhile.
type watched struct {
	*io.PipeReader
	s *saved
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.PipeReader.Read(p)
	if before := w.s.read.Load(); before>>24 != (before+int64(n))>>24 {
		w.s.look()
	}
	w.s.read.Add(int64(n))
	return n, err
}

func (s *saved) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap.Store(max(s.heap.Load(), m.HeapInuse))
}

// once takes the last layer out of an archive: everything is read once, nothing is written but that layer, once, and the memory stays
// small. It returns the most memory that was in use.
func once(t testing.TB, kind string, sizes ...int64) uint64 {
	s := newSaved(t, kind, sizes...)
	runtime.GC()
	s.look()
	before := s.heap.Swap(0)
	wrote := written(t)
	last := len(sizes) - 1
	w := want(manifest.Blob{Digest: digest.FromString("as carried"), Size: 1}, manifest.Blob{Digest: s.ids[last], Size: sizes[last]})
	dir := t.TempDir()
	site, err := bundle.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	src, err := fetch.Archive(ctx, "/media/usb/emr.tgz", s.open)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	moved, err := fetch.Blobs(ctx, site, []bundle.Source{src}, []fetch.Want{w}, quick)
	if err != nil {
		t.Fatal(err)
	}
	if !site.Has(w.Forms[1]) || moved.Bytes != sizes[last] {
		t.Errorf("moved %+v", moved)
	}
	if wrote = written(t) - wrote; wrote < sizes[last] || wrote > sizes[last]+sizes[last]/50+100_000 {
		t.Errorf("%s: %d bytes were written for a layer of %d", kind, wrote, sizes[last])
	}
	if read := s.read.Load(); read > s.total()+s.total()/50+1<<20 {
		t.Errorf("%s: %d bytes were read of about %d", kind, read, s.total())
	}
	used := s.heap.Load() - min(before, s.heap.Load())
	if used > 16<<20 {
		t.Errorf("%s: %d bytes of memory more than before", kind, used)
	}
	if err := os.RemoveAll(filepath.Join(dir, "blobs")); err != nil {
		t.Error(err)
	}
	return used
}

// written is what this process has written to files.
func written(t testing.TB) (n int64) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d\nwchar: %d", &read, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadOnce is the short form of BenchmarkReadOnce.
func TestReadOnce(t *testing.T) {
	for _, kind := range []string{"old engine", "new engine", "bundle"} {
		once(t, kind, 40<<20+512, 3<<20, 10<<20)
	}
}

// BenchmarkReadOnce reads 3 GB, made on the fly, of which the last 200 MB are wanted: go test -bench ReadOnce -benchtime 1x ./bundle/fetch
func BenchmarkReadOnce(b *testing.B) {
	for _, kind := range []string{"old engine", "new engine", "bundle"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(3_000_000_000)
			for b.Loop() {
				b.ReportMetric(float64(once(b, kind, 2_000_000_000, 800_000_000, 200_000_000))/1e6, "MB_memory")
			}
		})
	}
}
