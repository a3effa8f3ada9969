package update

import (
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/manifest"
)

// A disk that is short makes an update dear only as far as that is no matter, or when a person wants it now.
func TestADiskThatIsShort(t *testing.T) {
	t.Parallel()
	s := newLedSite(t)
	s.delta.Spool = 1 << 50 // which no disk has
	s.ways(s.delta)
	s.untilChecked(ready)
	r, err := s.ready()
	if err != nil || len(r.Setbacks) != 1 || !strings.HasSuffix(r.Setbacks[0], " TB more free disk would make it 301 kB in place of 1.4 MB") {
		t.Errorf("told %q (%v)", r.Setbacks, err)
	}

	s = newLedSite(t)
	tar := bundletest.Tar(t, map[string]string{"large": string(bundletest.Bytes(5, 11_000_000))})
	s.layer = bundletest.Layer(t, s.c.store, bundle.Gzip, tar)
	s.c.fleet.AddRelease("1.2.0", bundletest.Release(t, s.c.store, "1.2.0",
		bundletest.Image(t, s.c.store, "registry.example.org/clinic/web:1.2", "linux/amd64", s.layer)))
	s.delta.Spool = 1 << 50
	if err := s.c.fleet.SaveWays(&manifest.Ways{Format: manifest.WaysFormat, Fleet: "clinic", Version: "1.2.0", Layers: []manifest.LayerWays{
		{DiffID: s.layer.DiffID, Deltas: []manifest.Delta{s.delta}},
	}}); err != nil {
		t.Fatal(err)
	}
	s.pin("1.2.0")
	before := s.c.sent.Load()
	started := s.order(api.UpdateRequest{})
	end := s.end(started.Change)
	if end.Error == nil || !strings.Contains(end.Error.Message, " TB more free disk would make it 301 kB in place of 11 MB") ||
		!strings.HasSuffix(end.Error.Hint, "; dhow update --now fetches the 11 MB all the same") {
		t.Errorf("%+v", end.Error)
	}
	if c, err := s.Journal.Change(started.Change); err != nil || c.Cause == nil || c.Cause.Class != change.ClassSpace || s.c.sent.Load()-before > 20_000 {
		t.Errorf("%d bytes of blobs came: %+v (%v)", s.c.sent.Load()-before, c.Cause, err)
	}
	if !s.waitsForRoom() {
		t.Error("nobody waits for room")
	}
	if end := s.end(s.order(api.UpdateRequest{Now: true}).Change); end.Error != nil || !s.Store.Has(s.layer.Blob) {
		t.Errorf("%+v", end.Error)
	}
}
