//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// tight is a moment at which a disk is full: from the fault point on, or from before the update when there is none.
type tight struct {
	what    string
	disk    string // that of the site's folder ("site") or that of the engine ("engine")
	leave   int64  // bytes that stay free
	point   string
	failing bool // the release fails by itself
	code    int
	words   []string // of the answer
}

var tights = []tight{
	{what: "too little for the release", disk: "site", leave: 100 << 20, code: api.CodeRefused, words: []string{"more is needed in", "/store", "by itself"}},
	{what: "too little for the images", disk: "engine", leave: 150 << 20, code: api.CodeRefused, words: []string{"more is needed in", "the images", "by itself"}},
	{what: "full while fetching", disk: "site", point: "fetch-blobs/before", code: api.CodeRefused, words: []string{"more is needed in"}},
	{what: "full while loading", disk: "engine", leave: 3 << 20, point: "load-images/before", code: api.CodeRefused, words: []string{"more is needed in"}},
	{what: "full while the release is put in place", disk: "site", point: "stage-release/before", code: api.CodeRefused, words: []string{"more is needed in"}},
	{what: "full while copying ahead", disk: "site", point: "copy-ahead/before", code: api.CodeRefused, words: []string{"more is needed in"}},
	{what: "full while copying", disk: "site", point: "back-up/before", code: api.CodeRolledBack, words: []string{"more is needed in"}},
	{what: "full while starting, and while going back", disk: "engine", point: "start-release/down", code: api.CodeStuck},
	{what: "full while going back", disk: "engine", point: "undo-start-release/before", failing: true, code: api.CodeStuck},
	{what: "full for the journal", disk: "site", point: "start-release/before", code: api.CodeOK},
}

// TestDiskFull fills the disk of the site or that of the engine at every stage of an update. Each time the update is refused or undone with
// the amount that is missing, and goes on by itself when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	e, disks := newTightSite(t)
	for _, c := range tights {
		began := time.Now()
		e.squeeze(c, disks[c.disk])
		t.Logf("%4.1fs %s: %s", time.Since(began).Seconds(), c.what, e.site.status().Release)
		if t.Failed() {
			return
		}
	}
}

// newTightSite makes a site whose folder and whose engine are on small disks of their own.
func newTightSite(t testing.TB) (*engineSite, map[string]*Disk) {
	t.Helper()
	disks := map[string]*Disk{"site": newDisk(t, 400), "engine": newDisk(t, 700)}
	c := newCentre(t, ledgerStack)
	c.release(t, "1.0.0", "1.0.0")
	c.release(t, "1.1.0", "1.1.0")
	e := &engineSite{t: t, site: newSite(t, c, "tight"), source: folderSource(t)}
	s := e.site
	s.prefix = filepath.Join(disks["site"].path, "site")
	if err := os.Mkdir(s.prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	s.log, e.trace = filepath.Join(filepath.Dir(disks["site"].path), "agent.log"), filepath.Join(filepath.Dir(disks["site"].path), "trace")
	e.engine = newEngine(t, filepath.Join(disks["engine"].path, "docker"))
	s.engine, s.programs = e.engine, map[string]string{}
	c.pin(t, s.name, "1.1.0", e.source)
	s.install(e.source)
	s.stop()
	s.configure(func(c *site.Config) { c.Window = "00:00-23:59" })
	e.start()
	s.must("update", "--now")
	s.post("/entries", "typed on 1.1.0")
	return e, disks
}

// squeeze orders an update, makes the disk full, and expects what c says; then there is room, and the update has to come to its end.
func (e *engineSite) squeeze(c tight, d *Disk) {
	e.t.Helper()
	s := e.site
	old, to := s.status().Release, e.release(c.failing)
	s.post("/entries", "typed before "+to)
	before := s.data()
	s.centre.pin(e.t, s.name, to, e.source)
	from := e.traced()
	if c.point == "" {
		d.fill(c.leave)
	}
	asked := make(chan Result, 1)
	go func() { asked <- s.run("update", "--now") }()
	if c.point != "" {
		e.await(moment{point: c.point}, from, asked)
		d.fill(c.leave)
	}
	var r Result
	select {
	case r = <-asked:
	case <-time.After(2 * time.Minute):
		e.t.Fatalf("%s: no answer\n%s", c.what, s.tail())
	}
	e.t.Log(r)
	if r.Code != c.code {
		e.t.Errorf("%s: exit code %d, want %d\n%s", c.what, r.Code, c.code, s.tail())
	}
	mentions(e.t, r, c.words...)
	if c.code == api.CodeStuck {
		if seen := s.fetch("/release"); seen != sawMaintenance {
			e.t.Errorf("%s: users see %q, want the maintenance page", c.what, seen)
		}
		mentions(e.t, s.run("status"), "more is needed in")
	} else if c.code != api.CodeOK {
		s.healthy(old)
		before.same(e.t, s.data(), c.what)
	}
	d.empty()
	want := to
	if c.failing {
		want = old
	}
	poll(e.t, 2*time.Minute, "release "+want+" although nobody asked again", func() (bool, string) {
		st := s.status()
		return st.Release == want && st.State != api.StateUpdating && st.State != api.StateStuck, fmt.Sprintf("%+v\n%s", st, s.tail())
	})
	s.settled(time.Minute)
	s.healthy(want)
	before.same(e.t, s.data(), c.what+", when there was room again")
	e.nothingElse()
	if c.failing {
		s.centre.pin(e.t, s.name, old, e.source)
	}
}
