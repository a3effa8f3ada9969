package deltas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/delta"
	"dhow/bundle/durable"
	"dhow/manifest"
	"dhow/manifest/deltas"
)

var ctx = context.Background()

// stack is a store with three releases: a system that stays, an application that changes a little, and a database of which only the last
// release has another one, which has nothing in common with the one before.
type stack struct {
	store    *bundle.Store
	releases []*manifest.Release // from old to new
}

func noise(seed uint64, n int) string { return string(bundletest.Bytes(seed, n)) }

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{store: bundletest.Store(t)}
	layer := func(kind bundle.Compression, files map[string]string) manifest.Layer {
		return bundletest.Layer(t, s.store, kind, bundletest.Tar(t, files))
	}
	system := layer(bundle.Gzip, map[string]string{"lib/one": noise(1, 90_000), "lib/two": noise(2, 90_000), "lib/old/one": noise(1, 90_000)})
	program := noise(3, 150_000)
	databases := []string{noise(4, 60_000), noise(4, 60_000), noise(5, 60_000)}
	for n, version := range []string{"0.9.0", "1.0.0", "1.1.0"} {
		app := layer(bundle.Gzip, map[string]string{"app": program[:50_000*n] + strings.Repeat("changed ", 30*n) + program[50_000*n:], "version": version})
		web := bundletest.Image(t, s.store, "registry.example.org/web:"+version, "linux/amd64", system, app, layer(bundle.Gzip, map[string]string{"v": version}))
		db := bundletest.Image(t, s.store, "registry.example.org:5000/db:"+version, "linux/amd64", layer(bundle.Gzip, map[string]string{"db": databases[n]}))
		db.Services = []string{"db"}
		s.releases = append(s.releases, bundletest.Release(t, s.store, version, web, db))
	}
	return s
}

// make makes the ways to the newest release, and returns the stages of it.
func (s *stack) make(t *testing.T, known *manifest.Ways, from ...*manifest.Release) (*manifest.Ways, string) {
	t.Helper()
	var busy []string
	w, warnings, err := deltas.Make(ctx, s.store, s.releases[2], from, known, func(step deltas.Step) {
		if step.Done > step.Total && step.Total > 0 {
			t.Errorf("%+v", step)
		}
		if text := step.From + " " + step.Service + " " + string(rune('0'+step.Layer)) + " " + step.Stage; len(busy) == 0 || busy[len(busy)-1] != text {
			busy = append(busy, text)
		}
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	s.clean(t)
	return w, strings.Join(busy, "\n")
}

// clean sees to it that nothing temporary is in the store.
func (s *stack) clean(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(s.store.Dir(), func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), durable.TempPrefix) || strings.Contains(path, "partial"+string(filepath.Separator)) {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) plain(t *testing.T, l manifest.Layer) delta.Layer {
	t.Helper()
	r, err := s.store.OpenLayer(l)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return delta.Layer{Identity: delta.Identity{DiffID: l.DiffID, Size: l.DiffSize}, Tar: bytes.NewReader(data)}
}

func TestMake(t *testing.T) {
	s := newStack(t)
	old, now := s.releases[1], s.releases[2]
	w, busy := s.make(t, nil, old, s.releases[0])
	if w.Fleet != now.Fleet || w.Version != "1.1.0" || len(w.Layers) != 2 {
		t.Fatalf("ways %+v", w)
	}
	web := now.Images[0].Platforms[0]

	// The system holds something twice, too far apart for gzip.
	system := w.Of(web.Layers[0].DiffID)
	if system.Full == nil || system.Full.Size > 185_000 || len(system.Deltas) != 0 {
		t.Fatalf("system: %+v", system)
	}
	data, err := s.store.Read(*system.Full, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxWindow(1<<20)) // a layer of 300 kB asks for no large window
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil || bundletest.BlobOf(plain).Digest != web.Layers[0].DiffID {
		t.Errorf("the system as zstd is another: %v", err)
	}

	// The application: a delta from each, made from all layers of the image.
	app := w.Of(web.Layers[1].DiffID)
	if app.Full != nil || len(app.Deltas) != 2 {
		t.Fatalf("application: %+v", app)
	}
	for i, from := range []*manifest.Release{old, s.releases[0]} {
		d, base := app.Deltas[i], from.Images[0].Platforms[0]
		if d.From != from.Version || d.Base != base.Config.Digest || d.Size > 3000 {
			t.Errorf("delta %d: %+v", i, d)
		}
		data, err := s.store.Read(d.Blob, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var layers []delta.Layer
		for _, l := range base.Layers {
			layers = append(layers, s.plain(t, l))
		}
		var out bytes.Buffer
		if err := delta.Apply(ctx, layers, bytes.NewReader(data), int64(len(data)), &out, t.TempDir(), nil); err != nil {
			t.Error(err)
		}
		if bundletest.BlobOf(out.Bytes()).Digest != web.Layers[1].DiffID {
			t.Errorf("delta %d leads elsewhere", i)
		}
	}
	// The database has nothing in common, and the last layer is too small to be worth a thing. Both were looked at, or not, once.
	for what, n := range map[string]int{"1.0.0 web 2 comparing": 1, "0.9.0 web 2 comparing": 1, "1.0.0 db 1 comparing": 1, " web 1 compressing": 1, "web 3": 0} {
		if got := strings.Count(busy, what); got != n {
			t.Errorf("%q %d times, want %d: %s", what, got, n, busy)
		}
	}
	for _, b := range w.Blobs() {
		if !s.store.Has(b) {
			t.Errorf("%s is not in the store", b.Digest)
		}
	}

	// Once more is no work, with or without what was found out before; and another computer makes the same.
	for _, known := range []*manifest.Ways{w, nil} {
		if again, busy := s.make(t, known, old, s.releases[0]); busy != "" || !reflect.DeepEqual(again, w) {
			t.Errorf("again: %+v, busy with %s", again, busy)
		}
	}
	other := newStack(t)
	if same, _ := other.make(t, nil, other.releases[1], other.releases[0]); !reflect.DeepEqual(same, w) {
		t.Errorf("elsewhere: %+v\nwant %+v", same, w)
	}

	// What was lost is made again; what is known from elsewhere stays.
	if err := s.store.Remove(app.Deltas[0].Digest); err != nil {
		t.Fatal(err)
	}
	if again, busy := s.make(t, w, old); strings.Count(busy, "comparing") != 1 || !reflect.DeepEqual(again, w) || !s.store.Has(app.Deltas[0].Blob) {
		t.Errorf("lost: %+v, busy with %s", again, busy)
	}
}

// An interrupted Make goes on where it was, and leaves nothing behind.
func TestMakeIsInterrupted(t *testing.T) {
	s := newStack(t)
	whole := newStack(t)
	want, _ := whole.make(t, nil, whole.releases[1], whole.releases[0])
	for _, at := range []string{"compressing", "unpacking", string(delta.Comparing), string(delta.Verifying)} {
		c, cancel := context.WithCancel(ctx)
		_, _, err := deltas.Make(c, s.store, s.releases[2], []*manifest.Release{s.releases[1], s.releases[0]}, nil, func(step deltas.Step) {
			if step.Stage == at {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", at, err)
		}
		cancel()
		s.clean(t)
	}
	// What a kill leaves is removed.
	if err := os.WriteFile(filepath.Join(s.store.Dir(), "ways", durable.TempPrefix+"layer-1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, busy := s.make(t, nil, s.releases[1], s.releases[0])
	if !reflect.DeepEqual(got, want) || strings.Contains(busy, "web 1 compressing") {
		t.Errorf("%+v\nwant %+v\nbusy with %s", got, want, busy)
	}
}

func TestMakeFromWhatIsNotThere(t *testing.T) {
	s := newStack(t)
	if err := s.store.Remove(s.releases[0].Images[0].Platforms[0].Layers[1].Digest); err != nil {
		t.Fatal(err)
	}
	w, warnings, err := deltas.Make(ctx, s.store, s.releases[2], []*manifest.Release{s.releases[1], s.releases[0]}, nil, nil)
	if err != nil || !reflect.DeepEqual(warnings, []string{"the images of release 0.9.0 are not in the store: no deltas from it"}) {
		t.Errorf("warnings %q, %v", warnings, err)
	}
	if app := w.Of(s.releases[2].Images[0].Platforms[0].Layers[1].DiffID); len(app.Deltas) != 1 || app.Deltas[0].From != "1.0.0" {
		t.Errorf("application: %+v", app)
	}
	// A layer that is damaged is no way to anything: it is said, and not signed.
	l := s.releases[2].Images[0].Platforms[0].Layers[1]
	path := filepath.Join(s.store.Dir(), "blobs", "sha256", l.Digest.Encoded())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.store.Dir(), "ways")); err != nil {
		t.Fatal(err)
	}
	if w, _, err := deltas.Make(ctx, s.store, s.releases[2], []*manifest.Release{s.releases[1]}, nil, nil); !errors.Is(err, bundle.ErrDamaged) {
		t.Errorf("a damaged layer: %+v, %v", w, err)
	}
}

// A service that has got another image name, and an image that another service runs now, find where they come from; other platforms don't mix.
func TestMakeFindsTheBase(t *testing.T) {
	s := newStack(t)
	for name, change := range map[string]func(i *manifest.Image){
		"another name":    func(i *manifest.Image) { i.Ref = "elsewhere/app:9" },
		"another service": func(i *manifest.Image) { i.Services = []string{"gateway"} },
	} {
		r := *s.releases[2]
		r.Images = append([]manifest.Image(nil), r.Images...)
		change(&r.Images[0])
		w, _, err := deltas.Make(ctx, s.store, &r, s.releases[1:2], nil, nil)
		if err != nil || len(w.Of(r.Images[0].Platforms[0].Layers[1].DiffID).Deltas) != 1 {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	r := *s.releases[2]
	arm := r.Images[0]
	arm.Platforms = []manifest.PlatformImage{arm.Platforms[0]}
	arm.Platforms[0].Platform = "linux/arm64"
	r.Images = []manifest.Image{arm}
	w, _, err := deltas.Make(ctx, s.store, &r, s.releases[1:2], nil, nil)
	if err != nil || len(w.Of(arm.Platforms[0].Layers[1].DiffID).Deltas) != 0 {
		t.Errorf("another platform: %+v, %v", w, err)
	}
}
