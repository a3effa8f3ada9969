package update

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup/archive"
	"dhow/agent/engine"
	"dhow/agent/journal"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// centre is a fleet with releases, on a web server whose line can be held up in the middle of a blob, or be broken.
type centre struct {
	fleet *manifesttest.Fleet
	store *bundle.Store
	*httptest.Server

	mu    sync.Mutex
	files map[string][]byte
	stop  int64         // so many bytes of blobs come, then nothing until open is closed
	open  chan struct{} // closed: everything comes
	sick  func(w http.ResponseWriter, r *http.Request) bool
	asked []string // ranges of blobs
	sent  atomic.Int64
	polls atomic.Int64
}

const pieceOfLine = 32 << 10

// newCentre makes a fleet "clinic" with release 1.0.0, pinned for kin-001, whose two layers are size bytes each.
func newCentre(t *testing.T, size int) *centre {
	t.Helper()
	store, release := bundletest.Sample(t, size)
	release.Images[1].Services = []string{"db"}
	c := &centre{fleet: manifesttest.New(t, "clinic"), store: store, open: make(chan struct{})}
	close(c.open)
	c.fleet.AddRelease("1.0.0", release)
	c.fleet.Assign("kin-001", "pilot", "1.0.0")
	c.files = c.fleet.Publish()
	c.Server = httptest.NewUnstartedServer(c)
	l, err := net.Listen("tcp4", "0.0.0.0:0") // which no name calls a neighbour
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Listener.Close()
	c.Listener = l
	c.Start()
	t.Cleanup(func() { c.goOn(); c.CloseClientConnections(); c.Close() })
	return c
}

func (c *centre) port() int { return c.Listener.Addr().(*net.TCPAddr).Port }

// line is the address of the centre over the line, lan that in the building.
func (c *centre) line() string { return fmt.Sprintf("http://0.0.0.0:%d", c.port()) }
func (c *centre) lan() string  { return fmt.Sprintf("http://127.0.0.1:%d", c.port()) }

// holdAt lets so many more bytes of blobs come, and then nothing.
func (c *centre) holdAt(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop, c.open = c.sent.Load()+n, make(chan struct{})
}

func (c *centre) goOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.open:
	default:
		close(c.open)
	}
}

// makeSick lets every answer be what f says, until it is nil. f reports whether it has answered.
func (c *centre) makeSick(f func(http.ResponseWriter, *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sick = f
}

func (c *centre) ranges() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

func (c *centre) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	c.mu.Lock()
	sick, data, found := c.sick, c.files[path], false
	_, found = c.files[path]
	c.mu.Unlock()
	if path == bundle.TimestampPath {
		c.polls.Add(1)
	}
	switch {
	case sick != nil && sick(w, r):
	case found:
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(data)
	case strings.HasPrefix(path, "blobs/"):
		f, err := os.Open(filepath.Join(c.store.Dir(), filepath.FromSlash(path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		c.mu.Lock()
		c.asked = append(c.asked, r.Header.Get("Range"))
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(&heldUp{w, c, r.Context()}, r, "", time.Time{}, f)
	default:
		http.NotFound(w, r)
	}
}

// heldUp sends the bytes of blobs as far as the centre lets them come.
type heldUp struct {
	http.ResponseWriter
	c   *centre
	ctx context.Context
}

func (s *heldUp) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		s.c.mu.Lock()
		stop, open := s.c.stop, s.c.open
		s.c.mu.Unlock()
		if s.c.sent.Load() >= stop {
			select {
			case <-open:
			case <-s.ctx.Done():
				return n, s.ctx.Err()
			}
		}
		m, err := s.ResponseWriter.Write(p[:min(len(p), pieceOfLine)])
		s.c.sent.Add(int64(m))
		n, p = n+m, p[m:]
		if err != nil {
			return n, err
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush()
	}
	return n, nil
}

// thinSite is a site that has nothing yet, with an engine that only says what it is.
type thinSite struct {
	*Manager
	t    *testing.T
	wall *atomic.Pointer[time.Time]
	log  bytes.Buffer // to be read after stop
	stop func() error
}

func newThinSite(t *testing.T, c *centre, source string, change func(*site.Config)) *thinSite {
	t.Helper()
	m := settled(t, nil)
	s := &thinSite{t: t, Manager: m, wall: &atomic.Pointer[time.Time]{}}
	s.set(c.fleet.Now.Truncate(24 * time.Hour).Add(36 * time.Hour)) // a noon
	m.Config.Sources, m.Config.TimeZone, m.Config.Window = []string{source}, "UTC", "03:00-04:00"
	m.Config.Backup.At, m.Config.Backup.Drill = site.Never, site.Never
	if change != nil {
		change(m.Config)
	}
	if err := m.Config.Save(m.Paths.Config()); err != nil {
		t.Fatal(err)
	}
	if err := trust.Init(m.Paths.Trust(), c.fleet.Root); err != nil {
		t.Fatal(err)
	}
	s.Engine = onlyInfo(t)
	s.begin()
	t.Cleanup(func() { _ = s.stop() })
	return s
}

// set sets the clock.
func (s *thinSite) set(now time.Time) { s.wall.Store(&now) }

func (s *thinSite) at(clock string) {
	s.t.Helper()
	now := *s.wall.Load()
	t, err := time.Parse("15:04", clock)
	if err != nil {
		s.t.Fatal(err)
	}
	next := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	if next.Before(now) {
		next = next.AddDate(0, 0, 1)
	}
	s.set(next)
}

// begin starts the agent, as after a reboot: it knows what is on the disk.
func (s *thinSite) begin() {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	p := s.Parts
	p.Now, p.Log = func() time.Time { return *s.wall.Load() }, slog.New(slog.NewTextHandler(&s.log, nil))
	var err error
	p.Journal, err = journal.Open(p.Paths.Journal())
	must(err)
	p.Archive, err = archive.Open(p.Paths.Archive())
	must(err)
	p.Trust, err = trust.Open(p.Paths.Trust(), trust.Options{Now: p.Now, Site: "kin-001"})
	must(err)
	p.Store, err = bundle.OpenStore(p.Paths.Store())
	must(err)
	p.Network = fetch.NewNetwork()
	s.Manager = New(p)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		p.Network.Close()
		_ = p.Journal.Close()
		return err
	})
}

func (s *thinSite) restart() {
	s.t.Helper()
	_ = s.stop()
	s.begin()
}

// until waits for a state of the site; the clock may have been set, so it is woken.
func (s *thinSite) until(what string, ok func(api.Status) bool) api.Status {
	s.t.Helper()
	var st api.Status
	for deadline := time.Now().Add(20 * time.Second); ; {
		s.poke()
		var err error
		if st, err = s.Status(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(st)
			s.t.Fatalf("not %s: %s", what, text)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// untilChecked lets the schedule look for news until something has come of it.
func (s *thinSite) untilChecked(ok func(api.Status) bool) {
	s.t.Helper()
	s.until("asked for news", func(st api.Status) bool {
		if err := s.Check(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		return ok(st)
	})
}

// order lets a person ask for an update, again while the change before is at its very end.
func (s *thinSite) order(r api.UpdateRequest) (started api.Started) {
	s.t.Helper()
	s.until("free for an order", func(api.Status) bool {
		var err error
		if started, err = s.Update(s.t.Context(), r); err != nil && api.Code(err) != api.CodeBusy {
			s.t.Fatal(err)
		}
		return err == nil
	})
	return started
}

func ready(st api.Status) bool { return st.State == api.StateReady }

// waitsFor is a fetch that waits, with a word of why.
func waitsFor(word string) func(api.Status) bool {
	return func(st api.Status) bool {
		return st.Step == "" && st.Fetch != nil && strings.Contains(st.Fetch.Waits, word)
	}
}

// some reports whether a fetch has brought at least n bytes.
func some(n int64) func(api.Status) bool {
	return func(st api.Status) bool { return st.Fetch != nil && st.Step == stepFetch && st.Fetch.Done >= n }
}

// blameless fails the test when something is held against the release.
func (s *thinSite) blameless() {
	s.t.Helper()
	if bad, err := s.bad(); err != nil || len(bad) > 0 {
		s.t.Errorf("held against the release: %+v %v", bad, err)
	}
}

// crossed is what has crossed the line this month.
func (s *thinSite) crossed() int64 {
	s.t.Helper()
	_, _, tally, err := s.look(true)
	if err != nil {
		s.t.Fatal(err)
	}
	return tally.Month.Bytes
}

// onlyInfo is an engine that says what it is, and has nothing.
func onlyInfo(t *testing.T) *engine.Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "dhow")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/engine")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Content-Type", "application/json")
		switch _, path, _ := strings.Cut(r.URL.Path, "/v1.41"); {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case path == "/version":
			_, _ = io.WriteString(w, `{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"}`)
		case path == "/info":
			_, _ = io.WriteString(w, `{"Architecture": "x86_64", "DockerRootDir": "/d", "Driver": "overlay2", "OSType": "linux"}`)
		case path == "/containers/json":
			_, _ = io.WriteString(w, `[]`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message": "no such thing"}`)
		}
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close(); _ = os.RemoveAll(dir) })
	e, err := engine.Connect("unix://" + dir + "/engine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// stickOf is a folder with everything that the centre has.
func stickOf(t *testing.T, c *centre) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "blobs"), os.DirFS(filepath.Join(c.store.Dir(), "blobs"))); err != nil {
		t.Fatal(err)
	}
	for path, data := range c.files {
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// another is release 1.1.0, in the store of the centre.
func another(t *testing.T, store *bundle.Store) *manifest.Release {
	t.Helper()
	layer := bundletest.Layer(t, store, bundle.Gzip, bundletest.Tar(t, map[string]string{"more": string(bundletest.Bytes(3, layerSize))}))
	return bundletest.Release(t, store, "1.1.0", bundletest.Image(t, store, "registry.example.org/clinic/web:1.1", "linux/amd64", layer))
}
