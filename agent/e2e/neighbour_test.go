//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/manifest"
)

// relay is a connection that counts what comes back over it, can be cut and mended, and can cut itself.
type relay struct {
	address string
	came    atomic.Int64

	mu     sync.Mutex
	cut    bool
	trip   int64 // so many bytes more, then it cuts itself; 0: never
	after  func()
	target string
	open   map[net.Conn]bool
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: l.Addr().String(), target: target, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); r.set(true) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(conn)
		}
	}()
	return r
}

// set cuts the relay, or mends it.
func (r *relay) set(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	if cut {
		for conn := range r.open {
			_ = conn.Close()
		}
		clear(r.open)
	}
}

// arm lets n more bytes come back; then the relay is cut and after is called.
func (r *relay) arm(n int64, after func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trip, r.after = r.came.Load()+n, after
}

func (r *relay) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer far.Close()
	r.mu.Lock()
	if r.cut {
		r.mu.Unlock()
		return
	}
	r.open[near], r.open[far] = true, true
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, counting{far, r})
}

type counting struct {
	io.Reader
	r *relay
}

func (c counting) Read(p []byte) (int, error) {
	if len(p) > 16<<10 {
		p = p[:16<<10]
	}
	n, err := c.Reader.Read(p)
	came := c.r.came.Add(int64(n))
	c.r.mu.Lock()
	tripped := c.r.trip > 0 && came >= c.r.trip
	after := c.r.after
	if tripped {
		c.r.trip = 0
	}
	c.r.mu.Unlock()
	if tripped {
		c.r.set(true)
		after()
		return 0, io.ErrClosedPipe
	}
	return n, err
}

// TestNeighbours brings releases to a site whose line is down: on the stick of a neighbour, from that neighbour over the LAN, and on a stick that
// somebody has filled in town. The neighbour only fetches; what runs there does not matter.
func TestNeighbours(t *testing.T) {
	const noise = 8 << 20
	centre := newCentre(t, ledgerStack)
	fleet := "dhow-e2e-neighbours-" + filepath.Base(filepath.Dir(centre.dir))
	registry := "oci://" + world.registry + "/" + fleet
	line, port := newRelay(t, world.registry), freePort(t)
	lan := newRelay(t, fmt.Sprintf("127.0.0.1:%d", port))
	far, near := "oci://"+line.address+"/"+fleet, "http://"+lan.address
	a, b := newSite(t, centre, "neighbour-a"), newSite(t, centre, "neighbour-b")
	b.programs = map[string]string{"1.2.0": "1.1.0", "1.3.0": "1.1.0"}
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.2.0-lan", func(c *imageChange) { c.label, c.noise = "lan", noise })
	variant(t, "dhow-ledger/ledger", "1.1.0", "1.3.0-town", func(c *imageChange) { c.label, c.noise = "town", noise+1 })
	pin := func(version, tag string) {
		t.Helper()
		centre.release(t, version, tag)
		centre.must(t, "pin", version, "--ring", "pilot")
		centre.must(t, "publish", "--to", registry)
	}
	fetched := func(version string) {
		t.Helper()
		a.must("update")
		if st := a.status(); st.State != api.StateReady || st.Pinned != version {
			t.Fatalf("the neighbour is %s and pinned to %s", st.State, st.Pinned)
		}
	}
	pin("1.0.0", "1.0.0")
	a.install("oci://" + world.registry + "/" + fleet)
	b.install(far, "--source", near)
	b.must("update", "--now")
	line.set(true)

	step(t, "the neighbour's stick")
	pin("1.1.0", "1.1.0")
	fetched("1.1.0")
	stick := t.TempDir()
	write(t, filepath.Join(stick, "photo.jpg"), []byte("not a bundle"))
	r := a.must("bundle", "export", "--to", stick)
	mentions(t, r, "holds release 1.1.0", "at the neighbour: dhow update --from "+filepath.Join(stick, "dhow-e2e-ledger-1.1.0.tar"))
	a.expect(api.CodeRefused, "bundle", "export", "--to", stick, "--release", "0.1.0")
	b.expect(api.CodeUnreachable, "update", "--now")
	b.must("update", "--from", stick, "--now")
	b.sane("1.1.0")

	step(t, "the line is down, the neighbour has the release and dies in the middle, the line comes back")
	pin("1.2.0", "1.2.0-lan")
	fetched("1.2.0")
	a.configure(func(c *site.Config) { c.Serve = fmt.Sprintf(":%d", port) })
	poll(t, 15*time.Second, "the neighbour to serve", func() (bool, string) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metadata/timestamp.json", port))
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
	before := line.came.Load()
	lan.arm(noise/2, func() {
		a.kill()
		line.set(false)
	})
	b.must("update", "--now")
	b.sane("1.2.0")
	rest(t, "begun by a neighbour that died", line.came.Load()-before, centre.missing(t, "1.2.0", "1.1.0")-noise/2, 1<<18)

	step(t, "a laptop in town, killed in the middle")
	pin("1.3.0", "1.3.0-town")
	line.set(true)
	town, cache := newRelay(t, world.registry), t.TempDir()
	stick = filepath.Join(t.TempDir(), "town.tgz")
	args := []string{
		"fetch", "--site", b.name, "--from", "oci://" + town.address + "/" + fleet, "--root", centre.root(), "--yes", "--cache", cache, "-o", stick,
	}
	first := exec.Command(world.dhow, args...)
	town.arm(noise/2, func() { _ = first.Process.Kill() })
	if out, err := first.CombinedOutput(); err == nil {
		t.Fatalf("it was killed and went well:\n%s", out)
	}
	town.set(false)
	before = town.came.Load()
	second := command(t, cache, nil, world.dhow, args...)
	if second.Code != 0 {
		t.Fatal(second)
	}
	mentions(t, second, "written and read back", "of it here already")
	// What has come to this computer and was not yet read is lost with the process: on loopback that is more than on any line.
	rest(t, "begun by a dhow fetch that was killed", town.came.Load()-before, centre.missing(t, "1.3.0", "")-noise/2, 2<<20)
	b.must("update", "--from", stick, "--now")
	b.sane("1.3.0")
}

// missing is how many bytes a site that has a release misses of another.
func (c *Centre) missing(t testing.TB, version, have string) int64 {
	t.Helper()
	doc, base := c.document(t, version), &manifest.Release{}
	if have != "" {
		base = c.document(t, have)
	}
	wants, err := fetch.WantsSince(doc, base, nil, doc.Platforms()[0])
	if err != nil {
		t.Fatal(err)
	}
	return fetch.Size(wants)
}

// rest judges how much came again of what was there; slack is for documents and what was under way.
func rest(t testing.TB, what string, came, rest, slack int64) {
	t.Helper()
	figure(t, "a release %s: %.2f MB came for the last %.2f MB", what, float64(came)/1e6, float64(rest)/1e6)
	if came > rest+slack {
		t.Errorf("%s: %d bytes came for the last %d", what, came, rest)
	}
}
