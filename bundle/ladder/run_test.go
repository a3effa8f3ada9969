package ladder

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/delta/deltatest"
	"dhow/manifest"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// source is a source in memory.
type source struct {
	name  string
	blobs map[digest.Digest][]byte
	down  bool
	asked []digest.Digest
}

func (s *source) Name() string { return s.name }
func (s *source) Close() error { return nil }

func (s *source) Document(context.Context, string, int64) ([]byte, error) { return nil, fs.ErrNotExist }

func (s *source) Blob(_ context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	s.asked = append(s.asked, b.Digest)
	if s.down {
		return nil, bundle.ErrUnreachable
	}
	data, ok := s.blobs[b.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", b.Digest, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(data[min(offset, int64(len(data))):])), nil
}

func (s *source) put(data []byte) manifest.Blob {
	b := bundletest.BlobOf(data)
	s.blobs[b.Digest] = data
	return b
}

// scene is a site that has release 1.0.0 and wants another layer, which can be had in all ways.
type scene struct {
	t            *testing.T
	store        *bundle.Store
	base         [][]byte // tars of the layers of 1.0.0
	layer        []byte
	want         manifest.Layer
	line         *source
	job          Job
	delta        manifest.Delta
	said         []string
	lasting      []bool
	full, direct manifest.Blob
}

// jars are bytes that are alike in two versions, but compress little.
func jars(version string) string {
	return string(bundletest.Bytes(7, 60_000)) + version + string(bundletest.Bytes(8, 60_000))
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, store: bundletest.Store(t), line: &source{name: "https://example.org/emr", blobs: map[digest.Digest][]byte{}}}
	s.base = [][]byte{
		bundletest.Tar(t, map[string]string{"os": strings.Repeat("os", 5000), "bomb": string(deltatest.Bomb(t))}),
		bundletest.Tar(t, map[string]string{"app": jars("one")}),
	}
	s.layer = bundletest.Tar(t, map[string]string{"app": jars("two")})
	image := s.image(s.store, s.base...)
	packed := bundletest.Compress(t, bundle.Gzip, s.layer)
	s.direct = s.line.put(packed)
	s.want = manifest.Layer{Blob: s.direct, DiffID: digest.FromBytes(s.layer), DiffSize: int64(len(s.layer))}
	s.full = s.line.put(bundletest.Compress(t, bundle.Zstd, s.layer))
	d, spool := deltatest.Make(t, s.base, s.layer)
	s.delta = manifest.Delta{Blob: s.line.put(d), Base: image.Config.Digest, From: "1.0.0", Spool: spool}
	s.job = Job{
		Query: Query{
			Store: s.store, Layers: []manifest.Layer{s.want}, Known: []Release{{Version: "1.0.0", Images: []manifest.PlatformImage{image}}},
			Ways: &manifest.Ways{Layers: []manifest.LayerWays{{DiffID: s.want.DiffID, Full: &s.full, Deltas: []manifest.Delta{s.delta}}}},
		},
		Sources: []bundle.Source{s.line},
		Setback: func(b Setback) {
			s.said = append(s.said, b.Text("layer 1 of web"))
			s.lasting = append(s.lasting, b.Lasting)
		},
	}
	return s
}

// image stores layers, compressed, and names an image of them.
func (s *scene) image(store *bundle.Store, layers ...[]byte) manifest.PlatformImage {
	image := manifest.PlatformImage{Config: manifest.Blob{Digest: digest.FromBytes(bytes.Join(layers, nil)), Size: 1}}
	for _, l := range layers {
		image.Layers = append(image.Layers, bundletest.Layer(s.t, store, bundle.Gzip, l))
	}
	return image
}

// run runs the job and returns what came over the line.
func (s *scene) run() int64 {
	s.t.Helper()
	moved, err := Run(context.Background(), s.job)
	if err != nil {
		s.t.Fatal(err)
	}
	s.clean()
	r, err := s.store.OpenLayer(s.want)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		s.t.Fatal(err)
	}
	return moved.Bytes
}

// clean fails the test when something is left in the store that is no layer.
func (s *scene) clean() {
	s.t.Helper()
	allowed := map[string]bool{}
	for _, l := range append(slices.Clone(s.job.Known[0].Images[0].Layers), s.want) {
		allowed[l.Digest.Encoded()], allowed[l.DiffID.Encoded()] = true, true
	}
	err := filepath.WalkDir(s.store.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && (!d.IsDir() && !allowed[d.Name()] || d.Name() == "ladder") {
			s.t.Errorf("%s is left behind", path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

func (s *scene) expect(said ...string) {
	s.t.Helper()
	if len(said) != len(s.said) {
		s.t.Fatalf("said %q", s.said)
	}
	for i, want := range said {
		if !strings.Contains(s.said[i], want) {
			s.t.Errorf("said %q, want %q", s.said[i], want)
		}
	}
}

func TestRunTakesTheDelta(t *testing.T) {
	s := newScene(t)
	if moved := s.run(); moved != s.delta.Size || moved > s.full.Size/20 {
		t.Errorf("%d bytes moved; the delta has %d, the layer as zstd %d", moved, s.delta.Size, s.full.Size)
	}
	s.expect()
	if !s.store.Has(plain(s.want)) {
		t.Error("the layer is not there in plain form")
	}
}

func TestRunGoesOneRungDown(t *testing.T) {
	for kind := range deltatest.Kinds {
		s := newScene(t)
		p := deltatest.PoisonOf(t, kind, s.base, s.layer)
		t.Run(p.Name, func(t *testing.T) {
			s.t = t
			d := &s.job.Ways.Layers[0].Deltas[0]
			d.Blob, d.Spool = s.line.put(p.Data), 100
			if moved := s.run(); moved != d.Size+s.full.Size {
				t.Errorf("%d bytes moved", moved)
			}
			s.expect("the delta from 1.0.0 to layer 1 of web did not fit: ")
			s.expect(p.Says)
			if !strings.HasSuffix(s.said[0], "; fetched whole") || !s.lasting[0] {
				t.Errorf("said %q, lasting %v", s.said, s.lasting)
			}
		})
	}
	t.Run("a spool larger than announced", func(t *testing.T) {
		s := newScene(t)
		s.job.Ways.Layers[0].Deltas[0].Spool = -1
		s.run()
		s.expect("its spool is larger than allowed: 0 bytes, and -1 are announced; fetched whole")
	})
	t.Run("not there", func(t *testing.T) {
		s := newScene(t)
		delete(s.line.blobs, s.delta.Digest)
		if moved := s.run(); moved != s.full.Size {
			t.Errorf("%d bytes moved", moved)
		}
		s.expect("the delta from 1.0.0 to layer 1 of web could not be had: ")
		if s.lasting[0] {
			t.Error("what is not there may come to be there")
		}
	})
	t.Run("damaged on its way", func(t *testing.T) {
		s := newScene(t)
		s.line.blobs[s.delta.Digest] = make([]byte, s.delta.Size)
		s.run()
		s.expect("could not be had: ")
		if s.lasting[0] {
			t.Error("another source, or this one the next time, may send it right")
		}
	})
	t.Run("rotten in the store", func(t *testing.T) {
		s := newScene(t)
		put(t, s.store, "blobs/sha256", "rotten", s.delta.Size)
		dir := filepath.Join(s.store.Dir(), "blobs/sha256")
		if err := os.Rename(filepath.Join(dir, name("rotten").Encoded()), filepath.Join(dir, s.delta.Digest.Encoded())); err != nil {
			t.Fatal(err)
		}
		if moved := s.run(); moved != s.delta.Size {
			t.Errorf("%d bytes moved, the delta has %d", moved, s.delta.Size)
		}
		s.expect("the delta from 1.0.0 to layer 1 of web did not fit: ")
		if !strings.HasSuffix(s.said[0], "; a delta is taken") || s.lasting[0] {
			t.Errorf("said %q, lasting %v", s.said, s.lasting)
		}
	})
	t.Run("to the last", func(t *testing.T) {
		s := newScene(t)
		delete(s.line.blobs, s.delta.Digest)
		bad := s.line.put(bundletest.Compress(t, bundle.Zstd, bundletest.Bytes(9, 50_000)))
		s.job.Ways.Layers[0].Full = &bad
		if moved := s.run(); moved != s.direct.Size+bad.Size {
			t.Errorf("%d bytes moved", moved)
		}
		s.expect("the delta from 1.0.0", "layer 1 of web as zstd did not fit: ")
	})
	t.Run("as it would take too much memory", func(t *testing.T) {
		for _, single := range []bool{false, true} { // the window is named, or it is the whole
			s := newScene(t)
			delete(s.line.blobs, s.delta.Digest)
			z, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(single))
			if err != nil {
				t.Fatal(err)
			}
			bad := s.line.put(z.EncodeAll(make([]byte, bundle.FullWindow+1), nil))
			s.job.Ways.Layers[0].Full = &bad
			if moved := s.run(); moved != s.direct.Size+bad.Size {
				t.Errorf("%d bytes moved", moved)
			}
			s.expect("the delta from 1.0.0", "layer 1 of web as zstd did not fit: cannot store blob: its window is larger than allowed: "+
				"unpacking it takes more than 32 MiB of memory; fetched whole")
			if !s.lasting[1] {
				t.Error("the same would happen again")
			}
		}
	})
	t.Run("and no further", func(t *testing.T) {
		s := newScene(t)
		clear(s.line.blobs)
		if _, err := Run(context.Background(), s.job); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		s.clean()
	})
}

// saved is what docker save gives of layers: plain, or compressed as from a containerd store.
func saved(t *testing.T, kind bundle.Compression, layers ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i, l := range append([][]byte{[]byte("{}"), make([]byte, len(layers[0]))}, layers...) {
		data := bundletest.Compress(t, kind, l)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint("some/", i), Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRunTakesTheBaseFromTheEngine(t *testing.T) {
	for _, c := range []struct {
		what string
		kind bundle.Compression
		open func(archive []byte) (io.ReadCloser, error)
		want string
	}{
		{what: "plain", kind: bundle.Plain},
		{what: "compressed", kind: bundle.Gzip},
		{
			what: "the image is gone", open: func([]byte) (io.ReadCloser, error) { return nil, errors.New("no such image") },
			want: "the delta from 1.0.0 to layer 1 of web did not fit: its base can't be read: no such image; fetched whole",
		},
		{
			what: "the archive breaks off", open: func(a []byte) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(a[:len(a)/2])), nil },
			want: "its base can't be read: cannot read the engine's archive of image sha256:",
		},
		{
			what: "the archive holds another image",
			open: func([]byte) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(saved(t, bundle.Plain, make([]byte, 1000)))), nil
			},
			want: "does not hold layer sha256:",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newScene(t)
			base := s.job.Known[0].Images[0]
			if err := s.store.Remove(base.Layers[1].Digest); err != nil { // the store has the other
				t.Fatal(err)
			}
			s.job.Engine = map[digest.Digest]bool{base.Config.Digest: true}
			s.job.Export = func(_ context.Context, config digest.Digest) (io.ReadCloser, error) {
				if config != base.Config.Digest {
					return nil, fmt.Errorf("asked for %s", config)
				}
				archive := saved(t, c.kind, s.base...)
				if c.open != nil {
					return c.open(archive)
				}
				return io.NopCloser(bytes.NewReader(archive)), nil
			}
			moved := s.run()
			if c.want == "" {
				s.expect()
				if moved != s.delta.Size {
					t.Errorf("%d bytes moved", moved)
				}
				return
			}
			s.expect(c.want)
			if s.lasting[0] {
				t.Error("the delta is blamed for its base")
			}
		})
	}
}

// A base that rots in the store says nothing of the delta.
func TestRunDoesNotBlameTheDeltaForItsBase(t *testing.T) {
	for _, plainly := range []bool{false, true} {
		s := newScene(t)
		l := s.job.Known[0].Images[0].Layers[1]
		rot := l.Blob
		if plainly {
			rot = plain(l)
			bundletest.Put(t, s.store, s.base[1])
		}
		f, err := os.OpenFile(filepath.Join(s.store.Dir(), bundle.BlobPath(rot.Digest)), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("rotten"), rot.Size/2); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		s.run()
		s.expect("the delta from 1.0.0 to layer 1 of web did not fit: its base can't be read: ")
		if s.lasting[0] {
			t.Error("the delta is blamed")
		}
	}
}

func TestRunMakesTheImageInBetween(t *testing.T) {
	s := newScene(t)
	between := bundletest.Tar(t, map[string]string{"app": jars("one and a half"), "noise": string(bundletest.Bytes(3, 200_000))})
	s.layer = bundletest.Tar(t, map[string]string{"app": jars("two"), "noise": string(bundletest.Bytes(3, 200_000))})
	elsewhere := bundletest.Store(t)
	middle := s.image(elsewhere, s.base[0], between)
	s.want = manifest.Layer{
		Blob: s.line.put(bundletest.Compress(t, bundle.Gzip, s.layer)), DiffID: digest.FromBytes(s.layer), DiffSize: int64(len(s.layer)),
	}
	first, spool1 := deltatest.Make(t, s.base, between)
	second, spool2 := deltatest.Make(t, [][]byte{s.base[0], between}, s.layer)
	s.job.Layers = []manifest.Layer{s.want}
	s.job.Ways = &manifest.Ways{Layers: []manifest.LayerWays{{DiffID: s.want.DiffID, Deltas: []manifest.Delta{
		{Blob: s.line.put(second), Base: middle.Config.Digest, From: "1.1.0", Spool: spool2},
	}}}}
	base := s.job.Known[0].Images[0].Config.Digest
	s.job.Known = append(s.job.Known, Release{Version: "1.1.0", Images: []manifest.PlatformImage{middle}, Ways: &manifest.Ways{
		Layers: []manifest.LayerWays{{DiffID: digest.FromBytes(between), Deltas: []manifest.Delta{
			{Blob: s.line.put(first), Base: base, From: "1.0.0", Spool: spool1},
		}}},
	}})
	if moved := s.run(); moved != int64(len(first)+len(second)) {
		t.Errorf("%d bytes moved, and the deltas have %d and %d", moved, len(first), len(second))
	}
	s.expect()
}

func TestRunTakesWhatIsNear(t *testing.T) {
	stick := func(s *scene, data ...[]byte) *source {
		near := &source{name: "/media/usb", blobs: map[digest.Digest][]byte{}}
		for _, d := range data {
			near.put(d)
		}
		s.job.Sources = []bundle.Source{near, s.line}
		return near
	}
	t.Run("the layer is on the stick", func(t *testing.T) {
		s := newScene(t)
		stick(s, s.line.blobs[s.direct.Digest], s.line.blobs[s.delta.Digest])
		s.run()
		if len(s.line.asked) > 0 || s.store.Has(plain(s.want)) {
			t.Errorf("asked the line for %s", s.line.asked)
		}
	})
	t.Run("the plain layer is on the stick", func(t *testing.T) {
		s := newScene(t)
		stick(s, s.layer)
		s.run()
		if len(s.line.asked) > 0 {
			t.Errorf("asked the line for %s", s.line.asked)
		}
	})
	t.Run("the delta is on the stick, and nothing else", func(t *testing.T) {
		s := newScene(t)
		stick(s, s.line.blobs[s.delta.Digest])
		s.run()
		if len(s.line.asked) > 0 {
			t.Errorf("asked the line for %s", s.line.asked)
		}
	})
	t.Run("nothing is on the stick", func(t *testing.T) {
		s := newScene(t)
		stick(s)
		if moved := s.run(); moved != s.delta.Size {
			t.Errorf("%d bytes moved", moved)
		}
	})
	t.Run("a delta for another base is on the stick", func(t *testing.T) {
		s := newScene(t)
		near := stick(s, s.line.blobs[s.delta.Digest])
		s.job.Sources = []bundle.Source{near}
		if err := s.store.Remove(s.job.Known[0].Images[0].Layers[1].Digest); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(context.Background(), s.job); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		s.clean()
	})
	t.Run("a neighbour", func(t *testing.T) {
		s := newScene(t)
		near := stick(s, s.layer)
		near.name = "http://clinic.local:8911"
		s.run()
		if len(s.line.asked) > 0 {
			t.Errorf("asked the line for %s", s.line.asked)
		}
	})
	t.Run("a neighbour, and nobody else", func(t *testing.T) {
		s := newScene(t)
		s.line.name = "oci://10.0.0.1/emr"
		if moved := s.run(); moved != s.delta.Size {
			t.Errorf("%d bytes moved", moved)
		}
	})
	t.Run("a neighbour who is off", func(t *testing.T) {
		s := newScene(t)
		near := stick(s)
		near.name, near.down = "http://clinic.local:8911", true
		s.job.Options.Pause = 1
		if moved := s.run(); moved != s.delta.Size {
			t.Errorf("%d bytes moved", moved)
		}
	})
}

// A line that is away says nothing of the ways: what has come stays.
func TestRunWaitsForTheLine(t *testing.T) {
	s := newScene(t)
	s.line.down = true
	s.job.Options.Pause = 1
	if _, err := Run(context.Background(), s.job); !errors.Is(err, bundle.ErrUnreachable) {
		t.Fatalf("%v", err)
	}
	s.expect()
	part, err := s.store.Partial(context.Background(), s.delta.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(s.line.blobs[s.delta.Digest][:100]); err != nil {
		t.Fatal(err)
	}
	if err := part.Close(); err != nil {
		t.Fatal(err)
	}
	s.line.down = false
	if moved := s.run(); moved != s.delta.Size-100 {
		t.Errorf("%d bytes moved", moved)
	}
}

// A program that was killed in the middle of applying leaves what it was making.
func TestRunBeginsAgain(t *testing.T) {
	s := newScene(t)
	for _, name := range []string{"blobs/sha256/.dhow-tmp-1", "ladder/.dhow-tmp-base-2", "ladder/.dhow-tmp-delta-3"} {
		path := filepath.Join(s.store.Dir(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, s.layer[:1000], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundletest.Put(t, s.store, s.line.blobs[s.delta.Digest])
	if moved := s.run(); moved != 0 {
		t.Errorf("%d bytes moved", moved)
	}
}

func TestRunMeasuresTheDisk(t *testing.T) {
	s := newScene(t)
	s.job.Measure = func() int64 { return Make(s.job.Query).Disk - 1 }
	if moved := s.run(); moved != s.direct.Size && moved != s.full.Size {
		t.Errorf("%d bytes moved", moved)
	}
	s.expect()
}

// What is dear for want of room is asked for before it moves, and not at all when it moves over no line.
func TestRunAsksBeforeADearPlan(t *testing.T) {
	s := newScene(t)
	s.job.Measure = func() int64 { return 1 }
	wait := errors.New("not for so many bytes")
	s.job.Dearer = func(p Plan) error {
		if p.Bytes != s.direct.Size || p.Roomier.Bytes != s.delta.Size {
			t.Errorf("asked of %d bytes in place of %d", p.Bytes, p.Roomier.Bytes)
		}
		return wait
	}
	moved, err := Run(context.Background(), s.job)
	if !errors.Is(err, wait) || moved.Bytes != 0 {
		t.Errorf("%d bytes moved: %v", moved.Bytes, err)
	}
	s.clean()
	s.line.name = "http://clinic.local:8911"
	if moved := s.run(); moved == 0 {
		t.Error("nothing moved")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	s.job.Progress = func(int64, int64) { cancel(errors.New("somebody else is due")) }
	if _, err := Run(ctx, s.job); err == nil || err.Error() != "somebody else is due" {
		t.Fatalf("%v", err)
	}
	if !s.store.Has(s.delta.Blob) {
		t.Error("the delta has to be fetched again")
	}
	if err := s.store.Remove(s.delta.Digest); err != nil {
		t.Fatal(err)
	}
	s.clean()
}

// sick is a file on a disk that does not give back what was written to it.
type sick struct{}

func (sick) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

func TestABaseThatCannotBeRead(t *testing.T) {
	_, err := baseFile{sick{}}.ReadAt(nil, 0)
	lost := (*baseError)(nil)
	if !errors.As(err, &lost) || !errors.Is(err, syscall.EIO) || err.Error() != "its base can't be read: input/output error" {
		t.Errorf("%v", err)
	}
}
