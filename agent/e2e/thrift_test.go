//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// Far is a web server beyond a line: the agent reaches it through a proxy, so that no name of this computer makes it a neighbour. It can stop in
// the middle of what it sends.
type Far struct {
	t   testing.TB
	dir string
	srv *http.Server
	url string // of the proxy

	mu    sync.Mutex
	left  int64 // bytes of blobs until it stops, -1 for never
	open  chan struct{}
	asked []string // ranges of blobs
}

// farSource is what a site writes for it.
const farSource = "http://centre.example.net/emr"

// newFar serves a folder.
func newFar(t testing.TB, dir string) *Far {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Far{t: t, dir: dir, url: "http://" + l.Addr().String(), left: -1, open: make(chan struct{})}
	f.srv = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.srv.Serve(l) }()
	t.Cleanup(func() { f.goOn(); _ = f.srv.Close() })
	return f
}

// stopAfter lets so many more bytes of blobs come.
func (f *Far) stopAfter(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

func (f *Far) goOn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left = -1; f.open != nil {
		close(f.open)
		f.open = nil
	}
}

// ranges are those that were asked for since the last call.
func (f *Far) ranges() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.asked
	f.asked = nil
	return list
}

func (f *Far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/emr/")
	file, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(filepath.Clean("/"+path))))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if strings.HasPrefix(path, "blobs/") {
		f.mu.Lock()
		f.asked = append(f.asked, r.Header.Get("Range"))
		f.mu.Unlock()
		w = &farWriter{w, f, r.Context()}
	}
	http.ServeContent(w, r, "", time.Time{}, file)
}

type farWriter struct {
	http.ResponseWriter
	f   *Far
	ctx context.Context
}

func (w *farWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		w.f.mu.Lock()
		piece, open := int64(min(len(p), 16<<10)), w.f.open
		if w.f.left >= 0 {
			piece = min(piece, w.f.left)
			w.f.left -= piece
		}
		w.f.mu.Unlock()
		if piece == 0 {
			select {
			case <-open:
				continue
			case <-w.ctx.Done():
				return n, w.ctx.Err()
			}
		}
		m, err := w.ResponseWriter.Write(p[:piece])
		n, p = n+m, p[m:]
		if err != nil {
			return n, err
		}
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, nil
}

// TestFetchOfDays: while a release comes over a line that is all but dead, a person pauses it, the nightly backup is made, and somebody goes
// back; each time it goes on at the byte.
func TestFetchOfDays(t *testing.T) {
	t.Parallel()
	centre := ledgerCentre(t)
	near := folderSource(t)
	far := newFar(t, near)
	s := newSite(t, centre, "days")
	s.env = []string{"HTTP_PROXY=" + far.url, "NO_PROXY="}
	centre.pin(t, s.name, "1.0.0", near)
	s.install(near)
	s.must("update", "--now")
	centre.pin(t, s.name, "1.1.0", near)
	s.configure(func(c *site.Config) { c.Sources, c.Budget.Day = []string{farSource}, "500 MB" })

	step(t, "a pause")
	mentions(t, s.must("pause", "--for", "3h"), "Paused by a person until", "nothing is fetched", "resume")
	mentions(t, s.must("update"), "1.1.0 is not all here yet: paused by a person until")
	if asked := far.ranges(); len(asked) > 0 {
		t.Errorf("fetched in a pause: %v", asked)
	}
	mentions(t, s.must("status"), "paused by a person until")
	const half = 1500
	far.stopAfter(half)
	mentions(t, s.must("resume"), "The pause is over")
	resumed := 0 // how often it was asked for the rest of a part
	inTheMiddle := func(what string, resumes int) {
		t.Helper()
		poll(t, 30*time.Second, what, func() (bool, string) {
			for _, r := range far.ranges() {
				if strings.HasPrefix(r, "bytes=") && !strings.HasPrefix(r, "bytes=0-") {
					resumed++
				}
			}
			st := s.status()
			return resumed >= resumes && st.State == api.StateFetching && st.Fetch != nil && st.Fetch.Release == "1.1.0" && st.Line.Day > half,
				fmt.Sprintf("went on at the byte %d times\n%s", resumed, s.tail())
		})
	}
	inTheMiddle("the fetch to stand in the middle", 0)

	step(t, "the nightly backup is due")
	s.configure(func(c *site.Config) { c.Backup.At = "0 2 * * *" })
	poll(t, time.Minute, "a backup in the middle of the fetch", func() (bool, string) { return len(s.portable()) == 1, s.tail() })
	inTheMiddle("the fetch to go on after the backup", 1)

	step(t, "a person wants a backup, too")
	s.must("backup", "create")
	if n := len(s.portable()); n != 2 {
		t.Errorf("%d backups", n)
	}
	inTheMiddle("the fetch to go on after the second backup", 2)
	s.kill()
	s.start()
	inTheMiddle("the fetch to go on after a power cut", 3)
	used := s.status().Line.Day

	step(t, "the line works again")
	far.goOn()
	poll(t, time.Minute, "the release to be here", func() (bool, string) { return s.status().State == api.StateReady, s.tail() })
	if now := s.status().Line.Day; now <= used {
		t.Errorf("%d bytes were counted, now %d", used, now)
	}
	s.must("update", "--now")
	s.sane("1.1.0")
	for _, u := range s.history() {
		if u.Result != api.ResultDone {
			t.Errorf("%+v", u)
		}
	}
}
