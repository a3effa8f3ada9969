package update

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/delta/deltatest"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// ledSite is a site that runs 1.0.0, and a centre that asks it to run 1.1.0, to whose new layer there is a delta of some 300 kB.
type ledSite struct {
	*thinSite
	c     *centre
	layer manifest.Layer
	delta manifest.Delta
}

func newLedSite(t *testing.T) *ledSite {
	t.Helper()
	const large = 1 << 20
	c := newCentre(t, large)
	s := &ledSite{thinSite: newThinSite(t, c, c.line(), nil), c: c}
	s.untilChecked(ready)
	s.install("1.0.0")
	base := imageOfService(t, c, "1.0.0", "web")
	var tars [][]byte
	for _, l := range base.Layers {
		r, err := c.store.OpenLayer(l)
		if err != nil {
			t.Fatal(err)
		}
		var tar bytes.Buffer
		if _, err := tar.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		tars = append(tars, tar.Bytes())
	}
	tar := bundletest.Tar(t, map[string]string{"web": string(bundletest.Bytes(1, large)), "new": string(bundletest.Bytes(77, 300_000))})
	s.layer = bundletest.Layer(t, c.store, bundle.Gzip, tar)
	c.fleet.AddRelease("1.1.0", bundletest.Release(t, c.store, "1.1.0",
		bundletest.Image(t, c.store, "registry.example.org/clinic/web:1.1", "linux/amd64", base.Layers[0], s.layer)))
	data, spool := deltatest.Make(t, tars, tar)
	s.delta = manifest.Delta{Blob: bundletest.Put(t, c.store, data), Base: base.Config.Digest, From: "1.0.0", Spool: spool}
	if err := c.fleet.SaveWays(&manifest.Ways{Format: manifest.WaysFormat, Fleet: "clinic", Version: "1.1.0", Layers: []manifest.LayerWays{
		{DiffID: s.layer.DiffID, Deltas: []manifest.Delta{s.delta}},
	}}); err != nil {
		t.Fatal(err)
	}
	s.pin("1.1.0")
	return s
}

func imageOfService(t *testing.T, c *centre, version, service string) manifest.PlatformImage {
	t.Helper()
	r, err := c.fleet.Release(version)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range r.Images {
		if i.Services[0] == service {
			return i.Platforms[0]
		}
	}
	t.Fatalf("no service %s", service)
	return manifest.PlatformImage{}
}

// install makes a release that was fetched the one that runs.
func (s *ledSite) install(version string) {
	s.t.Helper()
	r, d, err := s.Trust.CachedRelease(version)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Journal.SetFact(factGood, s.goodFor(r, d, 1)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Journal.SetFact(factReady, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *ledSite) pin(version string) {
	s.t.Helper()
	s.c.fleet.Assign("kin-001", "pilot", version)
	files := s.c.fleet.Publish()
	s.c.mu.Lock()
	s.c.files = files
	s.c.mu.Unlock()
}

// pausedAtHalf lets half of the delta come, and then a person pauses the fetch.
func (s *ledSite) pausedAtHalf() {
	s.t.Helper()
	s.c.holdAt(s.delta.Size / 2)
	if err := s.Check(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.until("at half of the delta", some(s.delta.Size/4))
	if _, err := s.Pause(s.t.Context(), api.PauseRequest{}); err != nil {
		s.t.Fatal(err)
	}
	s.until("paused", waitsFor("paused by a person"))
	s.c.goOn()
}

func TestAPausedFetchKeepsItsDelta(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	s.pausedAtHalf()
	part := s.Store.PartialSize(s.delta.Blob)
	if err := s.pruneStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Store.PartialSize(s.delta.Blob); got != part || part < s.delta.Size/4 {
		t.Errorf("%d bytes of the delta are left, there were %d", got, part)
	}
	before := s.c.sent.Load()
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until("ready", ready)
	if moved := s.c.sent.Load() - before; moved > s.delta.Size-part+20_000 {
		t.Errorf("%d bytes of blobs came after the pause; the delta lacked %d", moved, s.delta.Size-part)
	}
	if s.Store.Has(s.delta.Blob) || !s.Store.Has(manifest.Blob{Digest: s.layer.DiffID, Size: s.layer.DiffSize}) {
		t.Error("the delta is still there, or the layer is not")
	}
}

func TestADeltaGoesWhenNobodyWantsItsRelease(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	s.pausedAtHalf()
	old, err := s.c.fleet.Release("1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	s.c.fleet.AddRelease("1.2.0", bundletest.Release(t, s.c.store, "1.2.0", old.Images...))
	s.pin("1.2.0")
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.untilChecked(func(st api.Status) bool { return st.Pinned == "1.2.0" && ready(st) })
	if err := s.pruneStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Store.PartialSize(s.delta.Blob); n != 0 {
		t.Errorf("%d bytes of the delta are left", n)
	}
}

// A release whose ways can't be had, or whose deltas are not there, is fetched as before there were any.
func TestWithoutWays(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/targets/ways/", "/blobs/sha256/DELTA"} {
		s := newLedSite(t)
		path = strings.Replace(path, "DELTA", s.delta.Digest.Encoded(), 1)
		s.c.makeSick(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, path) {
				http.NotFound(w, r)
				return true
			}
			return false
		})
		s.untilChecked(ready)
		if !s.Store.Has(s.layer.Blob) {
			t.Errorf("%s: the layer is not there as its image carries it", path)
		}
	}
}

// What did not fit is not tried again: neither in this fetch nor in the next one.
func TestADeltaThatDidNotFit(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	bad := bundletest.Put(t, s.c.store, deltatest.Crafted{Old: nil, New: deltatest.Layer([]byte("another")).Identity}.Encode(t))
	s.ways(manifest.Delta{Blob: bad, Base: s.delta.Base, From: "1.0.0"})
	s.untilChecked(ready)
	text := "the delta from 1.0.0 to web layer 2 did not fit: it does not give the layer that it is for: it leads to " +
		string(digest.FromString("another")) + " with 7 bytes; fetched whole"
	r, err := s.ready()
	if err != nil || len(r.Setbacks) != 1 || r.Setbacks[0] != text {
		t.Errorf("told %q (%v), want %q", r.Setbacks, err, text)
	}
	list, err := s.refusedWays()
	if err != nil || len(list) != 1 || list[0].Blob != bad.Digest || list[0].Release != "1.1.0" || list[0].Text != text {
		t.Errorf("remembered %+v (%v)", list, err)
	}
	s.restart()
	if err := s.Store.Remove(s.layer.Digest); err != nil {
		t.Fatal(err)
	}
	release, _, err := s.Trust.CachedRelease("1.1.0")
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.missingOf(context.Background(), release, "linux/amd64", nil)
	if err != nil {
		t.Fatal(err)
	}
	if plan, moved, _ := x.plan(); len(plan.Steps) != 1 || moved != s.layer.Size {
		t.Errorf("planned %d bytes: %+v", moved, plan)
	}
	asked := s.watch(bad)
	s.end(s.order(api.UpdateRequest{}).Change)
	if asked.Load() != 0 {
		t.Error("asked for it again")
	}
	if err := s.Store.Remove(s.layer.Digest); err != nil {
		t.Fatal(err)
	}
	s.end(s.order(api.UpdateRequest{Retry: true}).Change)
	if list, err := s.refusedWays(); err != nil || len(list) != 1 || asked.Load() == 0 {
		t.Errorf("asked for it %d times when a person wanted that, and remembered %+v (%v)", asked.Load(), list, err)
	}
}

// watch counts how often a blob is asked for.
func (s *ledSite) watch(b manifest.Blob) *atomic.Int64 {
	n := new(atomic.Int64)
	s.c.makeSick(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, b.Digest.Encoded()) {
			n.Add(1)
		}
		return false
	})
	return n
}

// A source that sends a delta wrong is named in the log, and the delta is taken the next time.
func TestADeltaThatIsSentWrong(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	s.c.makeSick(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, s.delta.Digest.Encoded()) {
			return false
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(make([]byte, s.delta.Size))
		return true
	})
	s.untilChecked(ready)
	if list, err := s.refusedWays(); err != nil || len(list) != 0 || !s.Store.Has(s.layer.Blob) {
		t.Errorf("remembered %+v (%v)", list, err)
	}
	s.c.makeSick(nil)
	if err := s.Store.Remove(s.layer.Digest); err != nil {
		t.Fatal(err)
	}
	s.end(s.order(api.UpdateRequest{}).Change)
	if !s.Store.Has(manifest.Blob{Digest: s.layer.DiffID, Size: s.layer.DiffSize}) {
		t.Error("the delta was not taken")
	}
	_ = s.stop()
	want := `msg="a source sent something else than it was asked for" error="` + s.c.line()
	if n := strings.Count(s.log.String(), want); n == 0 {
		t.Errorf("not in the log: %s", want)
	}
}

// since is a stick since a version that gives nothing of the layer but b, which may be its delta.
func (s *ledSite) since(version string, b manifest.Blob) string {
	s.t.Helper()
	dir := stickOf(s.t, s.c)
	hint, err := bundle.Hint{Releases: []string{"1.1.0"}, Since: version}.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.FromSlash(bundle.HintPath)), hint, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for _, d := range []digest.Digest{s.layer.Digest, s.layer.DiffID, s.delta.Digest} {
		if d == b.Digest {
			continue
		}
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(bundle.BlobPath(d)))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
	return dir
}

// What a person brings is tried, whatever was refused before; what does not fit is named.
func TestAStickWithNothingButARefusedDelta(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	if err := s.Journal.SetFact(factRefused, []refusedWay{{Blob: s.delta.Digest, Release: "1.1.0"}}); err != nil {
		t.Fatal(err)
	}
	if end := s.end(s.order(api.UpdateRequest{From: s.since("1.0.0", s.delta.Blob)}).Change); end.Error != nil {
		t.Error(end.Error)
	}
	if !s.Store.Has(manifest.Blob{Digest: s.layer.DiffID, Size: s.layer.DiffSize}) {
		t.Error("the delta was not taken")
	}

	s = newLedSite(t)
	bad := bundletest.Put(t, s.c.store, deltatest.Crafted{Old: nil, New: deltatest.Layer([]byte("another")).Identity}.Encode(t))
	s.ways(manifest.Delta{Blob: bad, Base: s.delta.Base, From: "1.0.0"})
	dir := s.since("1.0.0", bad)
	end := s.end(s.order(api.UpdateRequest{From: dir}).Change)
	want := dir + " holds only what is new since 1.0.0, and the delta from 1.0.0 to web layer 2 did not fit: " +
		"it does not give the layer that it is for: it leads to " + string(digest.FromString("another")) + " with 7 bytes"
	if end.Error == nil || end.Error.Message != want || end.Error.Hint != "ask the central team for a bundle made without --since" {
		t.Errorf("\n got %+v\nwant %s", end.Error, want)
	}
}

// ways publishes another delta to the layer of 1.1.0.
func (s *ledSite) ways(d manifest.Delta) {
	s.t.Helper()
	if err := s.c.fleet.SaveWays(&manifest.Ways{Format: manifest.WaysFormat, Fleet: "clinic", Version: "1.1.0", Layers: []manifest.LayerWays{
		{DiffID: s.layer.DiffID, Deltas: []manifest.Delta{d}},
	}}); err != nil {
		s.t.Fatal(err)
	}
	s.pin("1.1.0")
}
