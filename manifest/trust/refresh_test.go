package trust_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

func TestRefreshBringsTheNewestManifest(t *testing.T) {
	for _, offline := range []bool{false, true} {
		f := newForge(t, "drc")
		f.release("1.0.0")
		f.release("1.10.0")
		f.release("1.9.0")
		f.fleet.Rings["pilot"] = manifest.Ring{Pin: "1.10.0"}
		s := newSite(t, f.files["metadata/1.root.json"])
		if _, err := s.Current(); !errors.Is(err, trust.ErrNothing) {
			t.Fatalf("before: %v", err)
		}
		m := s.must(f.next(), offline)
		if m.Number != 1 || !m.Expires.Equal(start.AddDate(0, 3, 0)) || len(m.Warnings) != 0 {
			t.Errorf("got %+v", m)
		}
		if want := []string{"1.0.0", "1.9.0", "1.10.0"}; !slices.Equal(m.Releases, want) {
			t.Errorf("releases %v, want %v", m.Releases, want)
		}
		a, err := m.Fleet.Assignment("kin-001")
		if err != nil || a.Pin != "1.10.0" {
			t.Errorf("assignment %+v, %v", a, err)
		}
		f.next()
		if m := s.must(f.next(), offline); m.Number != 3 {
			t.Errorf("number %d, want 3", m.Number)
		}
		if n := s.number(); n != 3 {
			t.Errorf("after reopening: number %d, want 3", n)
		}
	}
}

func TestUnchangedPollAsksOnceAndWritesNothing(t *testing.T) {
	for _, offline := range []bool{false, true} {
		f := newForge(t, "drc")
		files := f.next()
		s := newSite(t, f.files["metadata/1.root.json"])
		s.must(files, offline)
		before := s.disk()
		src := manifesttest.NewSource(files)
		for range 5 {
			if m, err := s.Refresh(context.Background(), src, offline); err != nil || m.Number != 1 {
				t.Fatalf("poll: %v, %v", m, err)
			}
		}
		if got := strings.Join(src.Asked(), " "); got != strings.TrimSpace(strings.Repeat("metadata/timestamp.json ", 5)) {
			t.Errorf("asked for %s", got)
		}
		if !maps.Equal(before, s.disk()) {
			t.Error("an unchanged poll wrote to the disk")
		}
	}
}

// The shortcut is sound only because the timestamp says which root is the newest.
func TestTheShortcutNeedsTheRootInTheTimestamp(t *testing.T) {
	for name, field := range map[string]any{"absent": nil, "older": 1, "newer": 3, "text": "2"} {
		f := newForge(t, "drc")
		f.rotate(func() {})
		f.onTimestamp = func(s *metadata.TimestampType) {
			delete(s.UnrecognizedFields, "root")
			if field != nil {
				s.UnrecognizedFields["root"] = field
			}
		}
		files := f.next()
		s := newSite(t, f.files["metadata/1.root.json"])
		s.must(files, false)
		src := manifesttest.NewSource(files)
		if _, err := s.Refresh(context.Background(), src, false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.Contains(src.Asked(), "metadata/3.root.json") {
			t.Errorf("%s: no newer root was asked for: %v", name, src.Asked())
		}
	}
}

func TestNewFreshnessAloneFetchesNoFleet(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), false)
	f.version[timestamp]++
	src := manifesttest.NewSource(f.publish())
	if _, err := s.Refresh(context.Background(), src, false); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(src.Asked(), " "); got != "metadata/timestamp.json metadata/2.root.json" {
		t.Errorf("asked for %s", got)
	}
}

func TestEmptySourceAndBrokenLine(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	if err := s.fails(nil, false); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, trust.ErrDamaged) {
		t.Errorf("empty source: %v", err)
	}
	broken := errors.New("line is cut")
	src := manifesttest.NewSource(f.next())
	for _, path := range []string{"timestamp", "2.root", "1.snapshot", "1.targets", "fleet"} {
		src.Fail = func(p string) error {
			if strings.Contains(p, path) {
				return broken
			}
			return nil
		}
		if _, err := s.Refresh(context.Background(), src, false); !errors.Is(err, broken) || errors.Is(err, trust.ErrDamaged) {
			t.Errorf("line cut at %s: %v", path, err)
		}
		if n := s.number(); n != 0 {
			t.Errorf("line cut at %s: manifest %d is half there", path, n)
		}
	}
	src.Fail = nil
	if m, err := s.Refresh(context.Background(), src, false); err != nil || m.Number != 1 {
		t.Errorf("after the line came back: %v, %v", m, err)
	}
}

// A stick that is complete must be accepted after an online poll that stopped half-way at something newer.
func TestStickAfterHalfPoll(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	one := f.next()
	two := f.next()
	three := f.next()
	s.must(one, false)
	half := with(three, map[string][]byte{"metadata/3.targets.json": nil})
	if err := s.fails(half, false); !errors.Is(err, trust.ErrDamaged) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("half poll: %v", err)
	}
	if m := s.must(two, true); m.Number != 2 {
		t.Fatalf("stick: manifest %d, want 2", m.Number)
	}
	if n := s.number(); n != 2 {
		t.Fatalf("after reopening: %d, want 2", n)
	}
	// Online the half-seen timestamp still counts.
	if err := s.fails(two, false); !errors.Is(err, trust.ErrStale) {
		t.Errorf("online after the half poll: %v", err)
	}
	if m := s.must(three, false); m.Number != 3 {
		t.Errorf("manifest %d, want 3", m.Number)
	}
}

func TestStickIsAllOrNothing(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), false)
	before := s.disk()
	f.rotate(func() { f.keys[timestamp] = append(f.keys[timestamp][:0:0], newKey(t)) })
	f.fleet.Policy.Contact = "somebody"
	f.fleet.Sites["kin-900"] = manifest.Site{Ring: "pilot"}
	files := f.next()
	for path := range files {
		if path == "metadata/1.root.json" || path == "metadata/timestamp.json" {
			continue
		}
		s.fails(with(files, map[string][]byte{path: nil}), true)
		if !maps.Equal(before, s.disk()) {
			t.Errorf("a stick without %s left something behind", path)
		}
	}
	if m := s.must(files, true); m.Number != 2 {
		t.Errorf("manifest %d, want 2", m.Number)
	}
}

// A stick whose freshness was signed earlier but whose manifest is the same is a good stick.
func TestStickWithOlderFreshness(t *testing.T) {
	f := newForge(t, "drc")
	s := newSite(t, f.files["metadata/1.root.json"])
	old := f.next()
	f.version[timestamp]++
	s.must(f.publish(), false)
	before := s.disk()
	if m := s.must(old, true); m.Number != 1 {
		t.Errorf("manifest %d, want 1", m.Number)
	}
	if !maps.Equal(before, s.disk()) {
		t.Error("the older stick changed the state")
	}
	err := s.fails(old, false)
	if want := "the manifest is older than what this site has already seen (timestamp 1 < 2)"; err.Error() != want {
		t.Errorf("online:\n got %v\nwant %s", err, want)
	}
}

func TestClock(t *testing.T) {
	f := newForge(t, "drc")
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])

	s.now = time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
	m := s.must(files, true)
	if want := []string{"this computer's clock looks wrong: it says 2010-01-01, but it is at least 2026-11-21"}; !slices.Equal(m.Warnings, want) {
		t.Errorf("warnings %q", m.Warnings)
	}
	if got := s.Time(); !got.Equal(start) {
		t.Errorf("time %s, want the signing time %s", got, start)
	}
	s.reopen()
	if got := s.Time(); !got.Equal(start) {
		t.Errorf("after reopening: time %s, want %s", got, start)
	}

	// A clock that fell back does not make a manifest good again that is expired by a newer program's build time.
	if err := s.open(trust.Options{Floor: start.AddDate(0, 4, 0)}); err != nil {
		t.Fatal(err)
	}
	err := s.fails(files, false)
	if want := "the manifest expired on 2027-02-21; it is at least 2027-03-21"; err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}

	// An old signing time never moves the floor back.
	s.reopen()
	f.made = start.AddDate(-1, 0, 0)
	s.must(f.next(), false)
	if got := s.Time(); !got.Equal(start) {
		t.Errorf("time %s, want %s", got, start)
	}
	// A signing time beyond the expiry is not believed.
	f.made = start.AddDate(30, 0, 0)
	s.must(f.next(), false)
	if got := s.Time(); !got.Equal(start) {
		t.Errorf("time %s, want %s", got, start)
	}
}

func TestExpiredStickIsAWarning(t *testing.T) {
	f := newForge(t, "drc")
	files := f.next()
	s := newSite(t, f.files["metadata/1.root.json"])
	s.now = start.AddDate(2, 0, 0)
	m := s.must(files, true)
	want := []string{
		"this computer's clock looks wrong, unless nothing new has come since 2026-11-21: it says 2028-11-21",
		"the manifest expired on 2027-02-21: ask the central team for a newer one",
		"the fleet's root expired on 2027-11-21: ask the central team for a newer one",
	}
	if !slices.Equal(m.Warnings, want) {
		t.Errorf("warnings %q", m.Warnings)
	}
	if err := s.fails(files, false); !errors.Is(err, trust.ErrExpired) {
		t.Errorf("online: %v", err)
	}
}

func TestScratchWritesNothing(t *testing.T) {
	f := newForge(t, "drc")
	f.release("1.0.0")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), false)
	before := s.disk()
	c := s.Scratch()
	src := manifesttest.NewSource(f.next())
	if m, err := c.Refresh(context.Background(), src, true); err != nil || m.Number != 2 {
		t.Fatalf("scratch: %v, %v", m, err)
	}
	if _, _, err := c.Release(context.Background(), src, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.CachedRelease("1.0.0"); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, s.disk()) {
		t.Error("a scratch client wrote to the disk")
	}
	if n := s.number(); n != 1 {
		t.Errorf("the site moved to manifest %d", n)
	}
}

// silent is a source that says nothing until the test lets it.
type silent struct {
	trust.Source
	asked, speak chan struct{}
}

func (s silent) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	s.asked <- struct{}{}
	<-s.speak
	return s.Source.Document(ctx, path, limit)
}

// A source that is silent for a minute must not keep status waiting.
func TestToldWhileASourceIsSilent(t *testing.T) {
	f := newForge(t, "drc")
	f.release("1.0.0")
	s := newSite(t, f.files["metadata/1.root.json"])
	s.must(f.next(), false)
	src := silent{manifesttest.NewSource(f.next()), make(chan struct{}), make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Refresh(context.Background(), src, false)
		ended <- err
	}()
	for range 3 { // at the timestamp, at the next root, at the snapshot
		<-src.asked
		if m, err := s.Current(); err != nil || m.Number != 1 {
			t.Errorf("manifest %+v, %v", m, err)
		}
		if _, _, err := s.CachedRelease("1.0.0"); !errors.Is(err, trust.ErrNothing) {
			t.Errorf("release: %v", err)
		}
		src.speak <- struct{}{}
	}
	for {
		select {
		case <-src.asked:
			src.speak <- struct{}{}
			continue
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
		}
		break
	}
	if m, err := s.Current(); err != nil || m.Number != 2 {
		t.Errorf("manifest %+v, %v", m, err)
	}
}
