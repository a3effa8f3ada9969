//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle/bundletest"
	"dhow/bundle/delta/deltatest"
	"dhow/manifest"
)

// ladderLayers is how many layers of its own each image of the ladder's releases has.
const ladderLayers = deltatest.Kinds

// ladderBytes is how long each of them is. It does not compress.
const ladderBytes = 512 << 10

// ladderFleet is a ledger fleet whose releases differ in a few bytes of large layers, and whose ways the test makes itself.
type ladderFleet struct {
	t      testing.TB
	centre *Centre
	site   *Site
	meter  *Meter
	repo   string
	source string   // as the site calls it
	faults []string // what the agent is started with
}

func newLadderFleet(t testing.TB, name string) *ladderFleet {
	t.Helper()
	f := &ladderFleet{t: t, centre: newCentre(t, ledgerStack), meter: newMeter(t)}
	f.repo = "dhow-e2e/" + filepath.Base(filepath.Dir(f.centre.dir))
	f.source = "oci://registry.example.org/" + f.repo + "?insecure"
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
		f.image(v, "1.0.0", name)
	}
	f.site = newSite(t, f.centre, name)
	f.site.env = f.meter.env()
	f.site.programs = map[string]string{"1.1.0": "1.0.0", "1.2.0": "1.0.0", "1.3.0": "1.0.0", "1.4.0": "1.0.0"}
	return f
}

// image makes a release of the ledger's program in an image with large layers.
func (f *ladderFleet) image(version, program, tag string) {
	f.t.Helper()
	image, err := remote.Image(reference(f.t, "dhow-ledger/ledger", program))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range ladderLayers {
		half := string(bundletest.Bytes(uint64(i+1), ladderBytes/2))
		files := map[string]string{fmt.Sprintf("large-%d", i): half + "release " + version + half[:len(half)-20]}
		if i == 0 {
			files["bomb"] = string(deltatest.Bomb(f.t))
		}
		data := bundletest.Tar(f.t, files)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err == nil {
			image, err = mutate.AppendLayers(image, layer)
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if err := remote.Write(reference(f.t, "dhow-ledger/ledger", version+"-"+tag), image); err != nil {
		f.t.Fatal(err)
	}
	f.centre.release(f.t, version, version+"-"+tag)
}

// publish publishes a release for the site.
func (f *ladderFleet) publish(version string) {
	f.t.Helper()
	f.centre.pin(f.t, f.site.name, version, "oci://"+world.registry+"/"+f.repo)
}

// ledgerImage is the image of the ledger in a release.
func (f *ladderFleet) ledgerImage(version string) manifest.PlatformImage {
	f.t.Helper()
	return imageOf(f.t, f.centre.document(f.t, version), "ledger")
}

// whole is how many bytes the image's own layers have as it carries them.
func (f *ladderFleet) whole(version string) (sum int64) {
	f.t.Helper()
	layers := f.ledgerImage(version).Layers
	for _, l := range layers[len(layers)-ladderLayers:] {
		sum += l.Size
	}
	return sum
}

// store is the folder of the site's store.
func (f *ladderFleet) store() string { return site.Paths{Prefix: f.site.prefix}.Store() }

// stored fails the test unless the site has each of the image's own layers in one form, plain or as it is carried, and nothing of deltas.
func (f *ladderFleet) stored(version string, plain bool) {
	f.t.Helper()
	known := map[string]bool{}
	for _, v := range f.centre.versions(f.t) {
		r := f.centre.document(f.t, v)
		for _, file := range r.Files {
			known[file.Digest.Encoded()] = true
		}
		for _, i := range r.Images {
			for _, p := range i.Platforms {
				known[p.Config.Digest.Encoded()] = true
				for _, l := range p.Layers {
					known[l.Digest.Encoded()], known[l.DiffID.Encoded()] = true, true
				}
			}
		}
	}
	for _, dir := range []string{"blobs/sha256", "partial"} {
		for _, n := range names(f.t, filepath.Join(f.store(), dir)) {
			if !known[n] || dir == "partial" {
				f.t.Errorf("%s/%s is left behind in the store", dir, n)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(f.store(), "ladder")); err == nil {
		f.t.Error("the folder of temporary files is left behind")
	}
	layers := f.ledgerImage(version).Layers
	for _, l := range layers[len(layers)-ladderLayers:] {
		want := l.Digest
		if plain {
			want = l.DiffID
		}
		if _, err := os.Stat(filepath.Join(f.store(), "blobs", "sha256", want.Encoded())); err != nil {
			f.t.Errorf("a layer is not there as %s: %v", want, err)
		}
	}
}

// TestLadder updates a site by deltas over a line that is counted: through kills, with poisoned deltas, from a base that only the engine
// has, and on a disk that is too small for a delta.
func TestLadder(t *testing.T) {
	t.Parallel()
	disk := newDisk(t, 500)
	f := newLadderFleet(t, "ladder")
	s := f.site
	s.prefix = filepath.Join(disk.path, "site")
	if err := os.Mkdir(s.prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	s.log = filepath.Join(filepath.Dir(disk.path), "agent.log")
	f.publish("1.0.0")
	s.install(f.source)
	s.must("update", "--now")
	s.settled(time.Minute)
	s.post("/entries", "typed on 1.0.0")

	step(t, "by deltas, killed while they come, while they are applied, and after")
	f.centre.byDelta(f.t, "1.1.0", "1.0.0", "ledger", nil)
	f.publish("1.1.0")
	f.byDelta()
	step(t, "every delta is poisoned in its own way")
	f.poisoned()
	step(t, "the base is only in the engine")
	f.fromEngine()
	step(t, "the disk is too small for a delta")
	f.noRoom(disk)
}

// update orders the release that is pinned, and starts the agent again whenever it has died. It answers what came over the line.
func (f *ladderFleet) update(version string) int64 {
	f.t.Helper()
	s, before := f.site, f.meter.count()
	asked := make(chan Result, 1)
	go func() { asked <- s.run("update", "--now") }()
	poll(f.t, 2*time.Minute, "release "+version, func() (bool, string) {
		if !s.running() {
			s.launch(f.faults...)
		}
		st, ok := s.look()
		return ok && st.Release == version, fmt.Sprintf("%+v\n%s", st, s.tail())
	})
	<-asked
	s.settled(time.Minute)
	s.healthy(version)
	return f.meter.count() - before
}

func (f *ladderFleet) byDelta() {
	f.t.Helper()
	s, dir := f.site, f.t.(*testing.T).TempDir()
	s.stop()
	f.faults = []string{"DHOW_FAULT=store/part-write@fetch-blobs#2:kill,ladder/apply#2:kill,ladder/made#3:kill", "DHOW_FAULT_DIR=" + dir}
	s.start(f.faults...)
	moved := f.update("1.1.0")
	if killed := len(names(f.t, dir)); killed != 3 {
		f.t.Errorf("the agent was killed %d times, want 3", killed)
	}
	u := s.last()
	if u.To != "1.1.0" || u.Result != api.ResultDone || len(u.Setbacks) > 0 {
		f.t.Errorf("history: %+v", u)
	}
	if whole := f.whole("1.1.0"); moved > whole/10 {
		f.t.Errorf("%d bytes came over the line; the layers have %d", moved, whole)
	}
	figure(f.t, "ledger by deltas: %.1f kB over the line in place of %.1f MB, with 3 kills", float64(moved)/1e3, float64(f.whole("1.1.0"))/1e6)
	f.stored("1.1.0", true)
	s.stop()
	f.faults = nil
	s.start()
}

func (f *ladderFleet) poisoned() {
	f.t.Helper()
	s := f.site
	var poisons []deltatest.Poison
	f.centre.byDelta(f.t, "1.2.0", "1.1.0", "ledger", func(i int, base [][]byte, layer []byte) ([]byte, int64) {
		p := deltatest.PoisonOf(f.t, i, base, layer)
		poisons = append(poisons, p)
		return p.Data, 100
	})
	f.publish("1.2.0")
	before := f.meter.count()
	s.must("update")
	f.stored("1.2.0", false)
	if moved, whole := f.meter.count()-before, f.whole("1.2.0"); moved < whole {
		f.t.Errorf("%d bytes came over the line; the layers have %d", moved, whole)
	}
	step(f.t, "what did not fit is not tried again")
	s.stop()
	f.forgetLayers("1.2.0")
	s.start()
	f.update("1.2.0")
	f.stored("1.2.0", false)
	u := s.last()
	if len(u.Setbacks) != len(poisons) {
		f.t.Errorf("%d setbacks, want %d: %q", len(u.Setbacks), len(poisons), u.Setbacks)
	}
	for i, p := range poisons {
		told := slices.ContainsFunc(u.Setbacks, func(text string) bool {
			return strings.HasPrefix(text, "the delta from 1.1.0 to ledger layer ") && strings.Contains(text, p.Says) && strings.HasSuffix(text, "; fetched whole")
		})
		if !told {
			f.t.Errorf("poison %d (%s) is not told of in %q", i, p.Name, u.Setbacks)
		}
	}
	mentions(f.t, s.run("history"), "the delta from 1.1.0 to ledger layer", "(and 6 more like it)")
}

// forgetLayers removes the layers of the ledger's image of a release from the site's store, whose agent is stopped.
func (f *ladderFleet) forgetLayers(version string) {
	f.t.Helper()
	for _, l := range f.ledgerImage(version).Layers {
		for _, d := range []digest.Digest{l.Digest, l.DiffID} {
			if err := os.RemoveAll(filepath.Join(f.store(), "blobs", "sha256", d.Encoded())); err != nil {
				f.t.Fatal(err)
			}
		}
	}
}

func (f *ladderFleet) fromEngine() {
	f.t.Helper()
	s := f.site
	s.stop()
	for _, v := range f.centre.versions(f.t) {
		f.forgetLayers(v)
	}
	s.start()
	f.centre.byDelta(f.t, "1.3.0", "1.2.0", "ledger", nil)
	f.publish("1.3.0")
	idle, before := s.memory(), f.meter.count()
	s.must("update")
	moved := f.meter.count() - before
	// The layers that both releases have in common had to come whole: the store was robbed of them.
	layers := f.ledgerImage("1.3.0").Layers
	common := int64(0)
	for _, l := range layers[:len(layers)-ladderLayers] {
		common += l.Size
	}
	if whole := f.whole("1.3.0"); moved > common+whole/10 {
		f.t.Errorf("%d bytes came over the line; the layers have %d, and those that are not new %d", moved, whole, common)
	}
	figure(f.t, "memory of the agent while it applies deltas: %.1f MB above idle (goal 64)", s.peak()-idle)
	f.stored("1.3.0", true)
}

func (f *ladderFleet) noRoom(disk *Disk) {
	f.t.Helper()
	f.centre.byDelta(f.t, "1.4.0", "1.2.0", "ledger", nil)
	f.publish("1.4.0")
	whole := f.whole("1.4.0")
	disk.fill(128<<20 + whole + 3<<20)
	before := f.meter.count()
	f.site.must("update")
	if moved := f.meter.count() - before; moved < whole {
		f.t.Errorf("%d bytes came over the line; the layers have %d", moved, whole)
	}
	if log, err := os.ReadFile(f.site.log); err != nil || strings.Count(string(log), "one rung down") != deltatest.Kinds {
		f.t.Errorf("only the poisoned deltas may fail (%v):\n%s", err, f.site.tail())
	}
	f.stored("1.4.0", false)
}
