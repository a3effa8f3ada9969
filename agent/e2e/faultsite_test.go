//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/manifest/sign"
)

// fleet is a ledger fleet whose images no other fleet has.
type fleet struct {
	name   string
	centre *Centre
	sites  int // made so far
}

// faultReleases are the releases of such a fleet, with the version of the program in each: 1.0.1 works on the data of 1.0.0 and back,
// 1.1.0 rewrites all of them, 1.2.0 spoils them and never gets healthy.
var faultReleases = map[string]string{"1.0.0": "1.0.0", "1.0.1": "1.0.0", "1.1.0": "1.1.0", "1.2.0": "1.2.0"}

func killFleet(t testing.TB, name string) *fleet {
	t.Helper()
	c := newCentre(t, ledgerStack)
	for release, program := range faultReleases {
		tag := release + "-" + name
		variant(t, "dhow-ledger/ledger", program, tag, func(i *imageChange) { i.label = tag })
		c.release(t, release, tag)
	}
	for release, program := range faultReleases {
		if program != "1.0.0" {
			c.byDelta(t, release, "1.0.0", "ledger", nil)
		}
	}
	return &fleet{name: name, centre: c}
}

// faultSite is a ledger site that is used for one order after another. Its methods leave the agent stopped unless they say something else.
type faultSite struct {
	t       testing.TB
	site    *Site
	source  string
	running string            // the release that runs
	left    map[string]Ledger // the entries when a release was left, which a rollback brings back
	backup  string            // a portable backup of 1.0.0, with the entries in it
	saved   Ledger
}

func newFaultSite(t testing.TB, f *fleet) *faultSite {
	t.Helper()
	f.sites++
	name := fmt.Sprintf("%s-%d", f.name, f.sites)
	k := &faultSite{t: t, site: newSite(t, f.centre, name), source: folderSource(t), running: "1.0.0", left: map[string]Ledger{}}
	k.site.programs = faultReleases
	dropImages(t, f.centre) // an engine that has never seen the images, as a new site's
	f.centre.pin(t, name, "1.0.0", k.source)
	k.site.install(k.source)
	k.site.must("update", "--now")
	k.site.stop()
	return k
}

// order is something that a person asks of a site, from one release to another.
type order struct {
	name     string
	from, to string
	keep     bool     // data, when going back
	fails    bool     // and is undone
	backup   []string // what is done with backups on 1.0.0, instead of an update or a rollback
}

// The orders that faults are tried in.
var orders = []order{
	{name: "update", from: "1.0.0", to: "1.1.0"},
	{name: "failing-update", from: "1.0.0", to: "1.2.0", fails: true},
	{name: "rollback", from: "1.1.0", to: "1.0.0"},
	{name: "rollback-keep", from: "1.0.1", to: "1.0.0", keep: true},
	{name: "failing-rollback", from: "1.1.0", to: "1.0.0", keep: true, fails: true},
	{name: "backup", from: "1.0.0", to: "1.0.0", backup: []string{"create"}},
	{name: "drill", from: "1.0.0", to: "1.0.0", backup: []string{"verify", "--drill"}},
	{name: "restore", from: "1.0.0", to: "1.0.0", backup: []string{"restore", "--yes"}},
}

func (o order) isUpdate() bool { return o.to > o.from }

// args are the words of the command.
func (k *faultSite) args(o order) []string {
	switch {
	case o.name == "restore":
		return append([]string{"backup"}, append(o.backup, k.backup)...)
	case o.backup != nil:
		return append([]string{"backup"}, o.backup...)
	case o.isUpdate():
		return []string{"update", "--now", "--retry"}
	case o.keep:
		return []string{"rollback", "--to", o.to, "--data", "keep", "--yes"}
	}
	return []string{"rollback", "--to", o.to, "--data", "restore", "--yes"}
}

// side is a release with the entries that may be there on it.
type side struct {
	release string
	entries Ledger
}

// expected says what is there on both sides of the order: as before, and as when it has worked.
func (k *faultSite) expected(o order) [2]side {
	now := k.site.ledger()
	old, done := side{o.from, now}, side{o.to, now}
	switch {
	case o.fails:
		done = old
	case o.isUpdate() && faultReleases[o.to] != faultReleases[o.from]:
		done.entries = now.after(faultReleases[o.to])
	case o.name == "restore":
		done.entries = k.saved
	case o.isUpdate() || o.keep || o.backup != nil:
	default:
		done.entries = k.left[o.to]
	}
	return [2]side{old, done}
}

// bring makes the site run the release on which an order begins, without faults.
func (k *faultSite) bring(release string) {
	k.t.Helper()
	for k.running != release {
		o := order{name: "preparation", from: k.running, to: "1.0.0"}
		if k.running == "1.0.0" {
			o.to = release
		}
		either := k.prepare(o)
		k.site.start()
		k.site.must(k.args(o)...)
		k.site.settled(time.Minute)
		k.running = o.to
		k.site.stop()
		if diff := either[1].entries.differs(k.site.ledger()); diff != "" {
			k.t.Fatalf("%s → %s without a fault: %s", o.from, o.to, diff)
		}
	}
}

// prepare makes everything ready for an order, whose images and blobs are not here, and answers what the entries should be afterwards. The
// application answers, the agent is stopped.
func (k *faultSite) prepare(o order) [2]side {
	k.t.Helper()
	s := k.site
	if o.backup != nil && k.backup == "" {
		s.start()
		k.backup, k.saved = s.backup().Name, s.ledger()
		s.stop()
	}
	s.post("/entries", fmt.Sprintf("typed on %s at %s", o.from, time.Now()))
	either := k.expected(o)
	if o.isUpdate() {
		k.left[o.from] = either[0].entries
		s.centre.pin(k.t, s.name, o.to, k.source)
		k.forgetBlobs(o)
		k.deltasOnly(o)
	}
	dropImages(k.t, s.centre)
	return either
}

// deltasOnly takes away from the source the layers to which there are deltas from the release that runs, as a bundle does that builds on it:
// what makes layers of deltas is to be interrupted, too.
func (k *faultSite) deltasOnly(o order) {
	k.t.Helper()
	repo, err := sign.Open(k.site.centre.dir)
	if err != nil {
		k.t.Fatal(err)
	}
	ways, err := repo.Ways(o.to)
	if err != nil || ways == nil || ways.Layers[0].Deltas[0].From != o.from {
		return // to 1.0.1, whose layers are those of 1.0.0
	}
	for _, l := range imageOf(k.t, k.site.centre.document(k.t, o.to), "ledger").Layers {
		if len(ways.Of(l.DiffID).Deltas) > 0 {
			if err := os.Remove(filepath.Join(k.source, "blobs", "sha256", l.Digest.Encoded())); err != nil {
				k.t.Fatal(err)
			}
		}
	}
}

// forgetBlobs removes from the store what the release that comes has alone.
func (k *faultSite) forgetBlobs(o order) {
	k.t.Helper()
	blobs := func(release string) (list []digest.Digest) {
		doc := k.site.centre.document(k.t, release)
		for _, image := range doc.Images {
			for _, p := range image.Platforms {
				list = append(list, p.Config.Digest, p.Manifest.Digest)
				for _, l := range p.Layers {
					list = append(list, l.Digest, l.DiffID)
				}
			}
		}
		return list
	}
	keep := blobs(o.from)
	for _, d := range blobs(o.to) {
		if slices.Contains(keep, d) {
			continue
		}
		path := filepath.Join(site.Paths{Prefix: k.site.prefix}.Store(), "blobs", "sha256", d.Encoded())
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			k.t.Fatal(err)
		}
	}
}

// settle waits for the end of what was ordered. Whenever the agent has died it is started again with the environment that env answers. It
// answers how often it died, or what is wrong with a site that does not come to rest.
func (k *faultSite) settle(o order, asked <-chan Result, within time.Duration, env func(deaths int) []string) (deaths int, stuck string) {
	k.t.Helper()
	s := k.site
	deadline := time.Now().Add(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last string
	for ended := false; ; <-tick.C {
		if time.Now().After(deadline) {
			return deaths, fmt.Sprintf("%s did not end within %s: %s", o.name, within, last)
		}
		if !s.running() {
			if deaths++; deaths > 20 {
				return deaths, "the agent dies again and again"
			}
			if deaths%2 == 1 {
				dropImages(k.t, s.centre)
			}
			s.launch(env(deaths)...)
			continue
		}
		if !ended {
			select {
			case r := <-asked:
				ended = true
				if r.Code != api.CodeOK && r.Err == "" {
					k.t.Errorf("the one who asked was told nothing: %s", r)
				}
			default:
				last = "it is still being followed"
				continue
			}
		}
		st, ok := s.look()
		if !ok {
			last = "no answer"
			continue
		}
		last = fmt.Sprintf("%+v", st)
		if st.State == api.StateIdle || st.State == api.StateReady {
			return deaths, ""
		}
	}
}

// ask gives the order, as somebody in front of the screen does who waits for the agent to come back when it goes away.
func (k *faultSite) ask(o order) chan Result {
	asked := make(chan Result, 1)
	s := k.site
	go func() { asked <- s.run(k.args(o)...) }()
	return asked
}

// judge compares the site with both sides of the order, and answers what was lost. What else is not as it should be fails the test.
func (k *faultSite) judge(o order, either [2]side) (lost string) {
	k.t.Helper()
	st := k.site.status()
	lost = fmt.Sprintf("release %q runs, neither %s nor %s", st.Release, either[0].release, either[1].release)
	now := k.site.ledger()
	for _, s := range either {
		if s.release == st.Release {
			if lost = s.entries.differs(now); lost == "" {
				break
			}
			lost = fmt.Sprintf("%s on %s: %s", o.name, st.Release, lost)
		}
	}
	if lost != "" {
		return lost
	}
	k.site.sane(st.Release)
	k.running = st.Release
	return ""
}

// tidy stops the agent, and looks at what it has left on the disk and in the engine. What a stop in the middle of tidying up has left is
// removed at the next start.
func (k *faultSite) tidy() {
	k.t.Helper()
	s := k.site
	for try := 0; ; try++ {
		s.stop()
		left := s.remains(k.t)
		if len(left) == 0 {
			return
		}
		if try == 2 {
			k.t.Errorf("left behind: %s\n%s", strings.Join(left, "; "), s.tail())
			return
		}
		s.start()
		s.settled(time.Minute)
		s.run("update") // comes after tidying up, whatever it ends with
	}
}
