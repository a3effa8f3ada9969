package update

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/journal"
	"dhow/agent/stick"
	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/report"
)

// stickSite is site kin-001 in ring pilot of a fleet with releases 1.0.0 to 1.2.0; it runs 1.0.0, and knows a manifest that asks for that.
func stickSite(t *testing.T) (*Manager, *manifesttest.Fleet) {
	t.Helper()
	m := settled(t, nil)
	var err error
	if m.Journal, err = journal.Open(m.Paths.Journal()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Journal.Close() })
	if m.Archive, err = archive.Open(m.Paths.Archive()); err != nil {
		t.Fatal(err)
	}
	if m.Engine, err = engine.Connect("unix:///none/docker.sock"); err != nil {
		t.Fatal(err)
	}
	f := manifesttest.New(t, "emr")
	for _, v := range []string{"0.9.0", "1.0.0", "1.1.0", "1.2.0"} {
		r := f.NewRelease(v)
		r.Notes = map[string]string{"en": "New in " + v}
		f.AddRelease(v, r)
	}
	f.Assign("kin-002", "others", "1.0.0")
	f.Assign("kin-001", "pilot", "1.0.0")
	m.told(t, f)
	m.Now = func() time.Time { return f.Now }
	m.runs(t, Good{Release: "1.0.0", Digest: digest.FromString("1.0.0"), Manifest: 1})
	return m, f
}

func (m *Manager) runs(t *testing.T, g Good) {
	t.Helper()
	if err := m.Journal.SetFact(factGood, g); err != nil {
		t.Fatal(err)
	}
}

// bundleOf writes a bundle as a folder.
func bundleOf(t *testing.T, dir string, docs map[string][]byte, hint bundle.Hint) {
	t.Helper()
	docs = maps.Clone(docs)
	data, err := hint.Encode()
	if err != nil {
		t.Fatal(err)
	}
	docs[bundle.HintPath] = data
	for path, data := range docs {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// asks lets the fleet ask the ring for a release and returns what it publishes.
func asks(f *manifesttest.Fleet, version string) map[string][]byte {
	f.Now = f.Now.Add(time.Hour)
	f.Assign("kin-001", "pilot", version)
	return f.Publish()
}

func TestWhatABundleIsGoodFor(t *testing.T) {
	full := func(versions ...string) bundle.Hint { return bundle.Hint{Fleet: "emr", Releases: versions} }
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, m *Manager, f *manifesttest.Fleet, dir string)
		kind  string // "" when it is no bundle
		args  string
		rel   string
		ours  bool
		words string // in the problem
	}{
		{"newer", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			bundleOf(t, dir, asks(f, "1.1.0"), full("1.1.0"))
		}, api.OfferInstall, "release=1.1.0", "1.1.0", true, ""},
		{"what runs", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			bundleOf(t, dir, asks(f, "1.0.0"), full("1.0.0"))
		}, api.OfferCurrent, "release=1.0.0", "1.0.0", true, ""},
		{"older than what was seen", func(t *testing.T, m *Manager, f *manifesttest.Fleet, dir string) {
			bundleOf(t, dir, asks(f, "1.1.0"), full("0.9.0", "1.1.0"))
			asks(f, "1.2.0")
			m.told(t, f)
		}, api.OfferOlder, "release=1.1.0", "1.1.0", true, ""},
		{"a pin that goes back", func(t *testing.T, m *Manager, f *manifesttest.Fleet, dir string) {
			m.runs(t, Good{Release: "1.2.0", Manifest: 1})
			bundleOf(t, dir, asks(f, "1.1.0"), full("1.1.0"))
		}, api.OfferOlder, "release=1.1.0", "1.1.0", true, ""},
		{"for another site", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			h := full("1.1.0")
			h.Site = "kin-002"
			bundleOf(t, dir, asks(f, "1.1.0"), h)
		}, api.OfferOthers, "name=kin-002", "", true, ""},
		{"of another fleet", func(t *testing.T, _ *Manager, _ *manifesttest.Fleet, dir string) {
			other := manifesttest.New(t, "theirs")
			other.AddRelease("1.1.0", nil)
			bundleOf(t, dir, asks(other, "1.1.0"), bundle.Hint{Fleet: "theirs", Releases: []string{"1.1.0"}})
		}, api.OfferForeign, "", "", false, ""},
		{"a site that the fleet does not know any more", func(t *testing.T, m *Manager, f *manifesttest.Fleet, dir string) {
			m.Config.Site = "kin-009"
			bundleOf(t, dir, asks(f, "1.1.0"), full("1.1.0"))
		}, api.OfferForeign, "", "", true, ""},
		{"on hold", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			f.Assign("kin-001", "pilot", "1.1.0")
			if err := f.Fleet().SetSite("kin-001", manifest.Site{Ring: "pilot", Hold: &manifest.Hold{Reason: "audit", Since: f.Now}}); err != nil {
				t.Fatal(err)
			}
			if err := f.SaveFleet(); err != nil {
				t.Fatal(err)
			}
			f.Now = f.Now.Add(time.Hour)
			bundleOf(t, dir, f.Publish(), full("1.1.0"))
		}, api.OfferNothing, "", "", true, ""},
		{"without the release", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			bundleOf(t, dir, asks(f, "1.2.0"), full("1.1.0"))
		}, api.OfferNothing, "", "", true, ""},
		{"since what runs", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			h := full("1.1.0")
			h.Since = "1.0.0"
			bundleOf(t, dir, asks(f, "1.1.0"), h)
		}, api.OfferInstall, "release=1.1.0", "1.1.0", true, ""},
		{"since what is not here", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			h := full("1.2.0")
			h.Since = "1.1.0"
			bundleOf(t, dir, asks(f, "1.2.0"), h)
		}, api.OfferSince, "release=1.2.0 since=1.1.0", "1.2.0", true, ""},
		{"a release that did not work here", func(t *testing.T, m *Manager, f *manifesttest.Fleet, dir string) {
			docs := asks(f, "1.1.0")
			bundleOf(t, dir, docs, full("1.1.0"))
			var d digest.Digest
			for path, data := range docs {
				if strings.HasPrefix(path, "targets/releases/") && strings.HasSuffix(path, ".1.1.0.json") {
					d = digest.FromBytes(data)
				}
			}
			if err := m.Journal.SetFact(factBad, []Bad{{Release: "1.1.0", Digest: d}}); err != nil {
				t.Fatal(err)
			}
		}, api.OfferFailed, "release=1.1.0", "1.1.0", true, ""},
		{"a changed document", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			docs := asks(f, "1.1.0")
			for path, data := range docs {
				if strings.HasSuffix(path, ".1.1.0.json") {
					docs[path] = []byte(strings.Replace(string(data), "New in", "Old in", 1))
				}
			}
			bundleOf(t, dir, docs, full("1.1.0"))
		}, api.OfferDamaged, "", "", true, "is not what the signed list says"},
		{"a document is missing", func(t *testing.T, _ *Manager, f *manifesttest.Fleet, dir string) {
			docs := asks(f, "1.1.0")
			maps.DeleteFunc(docs, func(path string, _ []byte) bool { return strings.HasSuffix(path, ".snapshot.json") })
			bundleOf(t, dir, docs, full("1.1.0"))
		}, api.OfferDamaged, "", "", false, "the source is incomplete"},
		{"somebody else's files", func(t *testing.T, _ *Manager, _ *manifesttest.Fleet, dir string) {
			if err := os.WriteFile(dir+"/notes.tar", []byte("no archive"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, api.OfferDamaged, "", "", false, "cut short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, f := stickSite(t)
			dir := t.TempDir()
			c.make(t, m, f, dir)
			before := m.standing()
			list, err := stick.Look(t.Context(), dir)
			if err != nil || len(list) != 1 {
				t.Fatalf("%v, %v", list, err)
			}
			got := m.judge(t.Context(), offerAt(stick.Place{ID: "1", Path: dir, Label: "USB"}, list[0].Path, api.OfferLooking))
			o := got.offer
			problem := o.Args["problem"]
			delete(o.Args, "problem")
			var args []string
			for _, k := range sortedNames(o.Args) {
				if k != "label" {
					args = append(args, k+"="+o.Args[k])
				}
			}
			if o.Kind != c.kind || strings.Join(args, " ") != c.args || o.Release != c.rel || got.ours != c.ours || !strings.Contains(problem, c.words) || o.Args["label"] != "USB" {
				t.Errorf("got %+v %q ours %v", o, problem, got.ours)
			}
			if o.Kind == api.OfferInstall && o.Note != "New in "+c.rel {
				t.Errorf("says of itself %q", o.Note)
			}
			if after := m.standing(); after != before {
				t.Errorf("it has changed what this site knows: %s, was %s", after, before)
			}
		})
	}
}

// Of what lies on all sticks the newest that the central team asks for comes first.
func TestTheBestComesFirst(t *testing.T) {
	m := &Manager{}
	at := func(place, path, kind, release string, number int64, since bool) {
		p := stick.Place{ID: place, Path: "/media/" + place, Label: place}
		b := m.sticks.places[place]
		if b == nil {
			b = m.sticks.enter(p)
		}
		o := offerAt(p, p.Path+"/"+path, kind)
		o.Release = release
		m.sticks.found(b, append(b.finds, find{offer: o, number: number, since: since, none: kind == ""}))
	}
	at("a", "theirs.tgz", api.OfferForeign, "", 0, false)
	at("a", "1.1.0.tgz", api.OfferInstall, "1.1.0", 5, false)
	at("a", "photos.tgz", "", "", 0, false)
	at("b", "1.2.0-since.tgz", api.OfferInstall, "1.2.0", 6, true)
	at("b", "1.2.0.tgz", api.OfferInstall, "1.2.0", 6, false)
	at("b", "0.9.0.tgz", api.OfferOlder, "0.9.0", 0, false)
	at("b", "bad.tgz", api.OfferDamaged, "", 0, false)
	at("c", "1.0.0.tgz", api.OfferCurrent, "1.0.0", 6, false)
	var got []string
	ids := map[string]bool{}
	for _, o := range m.offers() {
		got = append(got, strings.TrimPrefix(o.Path, "/media/"))
		ids[o.ID] = true
	}
	if want := "b/1.2.0.tgz b/1.2.0-since.tgz a/1.1.0.tgz c/1.0.0.tgz b/0.9.0.tgz b/bad.tgz a/theirs.tgz"; strings.Join(got, " ") != want || len(ids) != 7 {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	m.sticks.leave(stick.Place{ID: "b"})
	if list := m.offers(); len(list) != 3 || list[0].Release != "1.1.0" {
		t.Errorf("without the second stick: %+v", list)
	}
}

// TestTenBundlesOnTwoSticks: of many signed bundles the newest meant one is offered, those that bring the same release are one, and a second stick changes
// nothing of that.
func TestTenBundlesOnTwoSticks(t *testing.T) {
	m, f := stickSite(t)
	m.Log = slog.New(slog.DiscardHandler)
	visited := func(name string, fill func(dir string)) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), name)
		fill(dir)
		if !m.lookAt(t.Context(), m.sticks.enter(stick.Place{ID: dir, Path: dir, Label: name}), map[string]find{}) {
			t.Fatal("it was not looked at")
		}
	}
	hint := func(version string) bundle.Hint { return bundle.Hint{Fleet: "emr", Releases: []string{version}} }
	first, second := asks(f, "1.1.0"), asks(f, "1.2.0")
	visited("many", func(dir string) {
		for i := range 8 { // the first manifest asked for 1.1.0
			bundleOf(t, filepath.Join(dir, fmt.Sprintf("old-%d", i)), first, hint("1.1.0"))
		}
		bundleOf(t, filepath.Join(dir, "a-newest"), second, hint("1.2.0"))
		bundleOf(t, filepath.Join(dir, "without"), second, hint("1.1.0"))
	})
	visited("second", func(dir string) {
		bundleOf(t, filepath.Join(dir, "z-foreign"), manifesttest.New(t, "other").Publish(), hint("9.0.0"))
		bundleOf(t, filepath.Join(dir, "z-copy"), second, hint("1.2.0"))
	})
	list := m.offers()
	if len(list) != 4 {
		t.Fatalf("%d are told, not 4: %+v", len(list), list)
	}
	if c := list[0].Copies; len(c) != 1 || filepath.Base(c[0].Path) != "z-copy" || c[0].ID == list[0].ID {
		t.Errorf("copies of the first: %+v", c)
	}
	if c := list[1].Copies; len(c) != mostCopies {
		t.Errorf("copies of the second: %+v", c)
	}
	if others := m.copiesOf(list[0].Copies[0].Path); len(others) != 1 || others[0] != list[0].Path {
		t.Errorf("copies of a copy: %q", others)
	}
	if o := list[0]; o.Kind != api.OfferInstall || o.Release != "1.2.0" || filepath.Base(o.Path) != "a-newest" {
		t.Errorf("offered first: %+v", o)
	}
	kinds := map[string]int{}
	for _, o := range list {
		kinds[o.Kind+" "+o.Release]++
	}
	if want := map[string]int{"install 1.2.0": 1, "install 1.1.0": 1, "nothing ": 1, "foreign ": 1}; !maps.Equal(kinds, want) {
		t.Errorf("told are %v, want %v", kinds, want)
	}
}

// A place that does not answer is said so, and nobody waits for it.
func TestAStickThatHangs(t *testing.T) {
	m := &Manager{}
	b := m.sticks.enter(stick.Place{ID: "1", Path: "/media/usb", Label: "usb"})
	m.sticks.begin(b, nil)
	if list := m.offers(); len(list) != 0 {
		t.Errorf("at once: %+v", list)
	}
	b.since = time.Now().Add(-lookFor - time.Second)
	if list := m.offers(); len(list) != 1 || list[0].Kind != api.OfferUnreadable || list[0].Args["problem"] != "it does not answer" {
		t.Errorf("got %+v", list)
	}
}

// Reading gives way to an update, and goes on after it; what has been read is not read again.
func TestLookingGivesWay(t *testing.T) {
	m, f := stickSite(t)
	dir := t.TempDir()
	bundleOf(t, filepath.Join(dir, "emr"), asks(f, "1.1.0"), bundle.Hint{Fleet: "emr", Releases: []string{"1.1.0"}})
	b := m.sticks.enter(stick.Place{ID: "1", Path: dir, Label: "usb"})
	known := map[string]find{}
	m.runner = &change.Runner{Kinds: m.kinds(), Journal: m.Journal, Now: m.stamp, Observer: func(*change.Change, change.Progress) {}}
	c, err := m.runner.Start(KindApply, applyPlan{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.lookAt(t.Context(), b, known) {
		t.Error("it was read while an update is at work")
	}
	if list := m.offers(); len(list) != 1 || list[0].Kind != api.OfferLooking {
		t.Errorf("meanwhile: %+v", list)
	}
	if err := m.Journal.Delete(c.ID); err != nil {
		t.Fatal(err)
	}
	if !m.lookAt(t.Context(), b, known) || len(known) != 1 {
		t.Errorf("afterwards: %+v", known)
	}
	if list := m.offers(); len(list) != 1 || list[0].Kind != api.OfferInstall {
		t.Errorf("afterwards: %+v", list)
	}
	// The beginning of the bundle is gone, its names are not: nobody notices as long as nobody reads.
	path := filepath.Join(dir, "emr", filepath.FromSlash(bundle.TimestampPath))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, info.Size()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	m.lookAt(t.Context(), b, known)
	if list := m.offers(); list[0].Kind != api.OfferInstall {
		t.Errorf("it was read again: %+v", list)
	}
	// What runs is another release now: all is judged anew.
	m.runs(t, Good{Release: "1.1.0", Manifest: 2})
	m.lookAt(t.Context(), b, known)
	if list := m.offers(); list[0].Kind != api.OfferDamaged || len(known) != 1 {
		t.Errorf("it was not read again: %+v", list)
	}
}

// A disk that belongs to the computer may hold old bundles for years: that is told to nobody. What can be installed is, and what is new there.
func TestWhatWasThereBefore(t *testing.T) {
	m, f := stickSite(t)
	dir := t.TempDir()
	stale := asks(f, "1.1.0")
	hint := bundle.Hint{Fleet: "emr", Releases: []string{"1.1.0", "1.2.0", "1.3.0"}}
	asks(f, "1.2.0")
	m.told(t, f)
	m.runs(t, Good{Release: "1.2.0", Digest: digest.FromString("1.2.0"), Manifest: 1})
	f.AddRelease("1.3.0", nil)
	bundleOf(t, filepath.Join(dir, "old"), stale, hint)
	told := func(b *brought, want string) {
		t.Helper()
		if !m.lookAt(t.Context(), b, map[string]find{}) {
			t.Fatal("it was not looked at")
		}
		var got []string
		for _, o := range m.offers() {
			got = append(got, filepath.Base(o.Path)+" "+o.Kind)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	b := m.sticks.enter(stick.Place{ID: "1", Path: dir, Before: true})
	told(b, "")
	if !m.sticks.ours(b) {
		t.Error("a disk with something of ours gets no report")
	}
	bundleOf(t, filepath.Join(dir, "new"), asks(f, "1.3.0"), hint)
	told(b, "new install")
	bundleOf(t, filepath.Join(dir, "stale"), stale, hint)
	told(b, "new install, stale older")
	m.sticks.leave(b.place)
	told(m.sticks.enter(stick.Place{ID: "1", Path: dir}), "new install, old older, stale older")
}

func TestWhatReadsHere(t *testing.T) {
	for _, c := range []struct {
		kind, from string
		want       bool
	}{
		{KindFetch, "", false},
		{KindFetch, "https://example.org/emr", false},
		{KindFetch, "/media/usb/emr.tgz", true},
		{KindApply, "", true},
		{KindBackup, "", true},
	} {
		plan := fmt.Sprintf(`{"from":%q}`, c.from)
		if got := readsHere(&change.Change{Kind: c.kind, Plan: []byte(plan)}); got != c.want {
			t.Errorf("%s from %q: %v", c.kind, c.from, got)
		}
	}
}

// A place whose folder is not there is nothing to speak of.
func TestAFolderThatIsNotThere(t *testing.T) {
	m, _ := stickSite(t)
	b := m.sticks.enter(stick.Place{ID: "1", Path: filepath.Join(t.TempDir(), "none")})
	if !m.lookAt(t.Context(), b, map[string]find{}) || len(m.offers()) != 0 {
		t.Errorf("got %+v", m.offers())
	}
}

// A visit looks again when a change ends, and leaves nothing behind.
func TestVisit(t *testing.T) {
	m, f := stickSite(t)
	m.Log = slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	docs := asks(f, "1.1.0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.visit(ctx, stick.Place{ID: "1", Path: dir, Label: "usb"})
	}()
	bundleOf(t, filepath.Join(dir, "emr"), docs, bundle.Hint{Fleet: "emr", Releases: []string{"1.1.0"}})
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		m.sticks.wake()
		if list := m.offers(); len(list) == 1 && list[0].Kind == api.OfferInstall {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing was found: %+v", m.offers())
		}
	}
	told := filepath.Join(dir, report.FileName("kin-001"))
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if data, err := os.ReadFile(told); err == nil {
			r, key, err := report.Parse(data)
			if err != nil || r.Release != "1.0.0" || r.Number != 1 || key != m.publicKey() {
				t.Errorf("reported %+v by %s, %v", r, key, err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no report was written")
		}
	}
	cancel()
	<-ended
	if len(m.offers()) != 0 {
		t.Error("the stick is gone and its offer is not")
	}
}
