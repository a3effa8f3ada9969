package update

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
)

// TestTheLineIsNoFaultOfARelease: whatever a line does, nothing is held against the release, and the next look at it goes on.
func TestTheLineIsNoFaultOfARelease(t *testing.T) {
	blobs := func(f http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/blobs/") {
				f(w, r)
				return true
			}
			return false
		}
	}
	all := func(f http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { f(w, r); return true }
	}
	portal := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Please log in</html>")
	}
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	wrong := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	}
	for _, test := range []struct {
		name, source string
		sick         func(http.ResponseWriter, *http.Request) bool
		want         string
	}{
		{"no such name", "http://registry.example.invalid/emr", nil, "registry.example.invalid"},
		{"refused", "http://0.0.0.0:1/emr", nil, "refused"},
		{"captive portal", "", all(portal), "a web page came instead of the content"},
		{"server is broken", "", all(broken), "HTTP 503"},
		{"cut at once", "", all(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "EOF"},
		{"other documents", "", all(wrong), "damaged"},
		{"server of blobs is broken", "", blobs(broken), "HTTP 503"},
		{"other blobs", "", blobs(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write(make([]byte, 10<<20))
		}), "damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCentre(t, 10_000)
			source := c.line()
			if test.source != "" {
				source = test.source
			}
			s := newThinSite(t, c, source, nil)
			s.runner.Wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
			c.makeSick(test.sick)
			started := s.order(api.UpdateRequest{})
			if end := s.end(started.Change); end.Error == nil || !strings.Contains(end.Error.Message, test.want) || end.Error.Hint == "" {
				t.Fatalf("%+v %v", end, end.Error)
			}
			s.blameless()
			ch, err := s.Journal.Change(started.Change)
			if err != nil || ch.Cause == nil || ch.Cause.Class == change.ClassRelease {
				t.Errorf("%+v %v", ch.Cause, err)
			}
			if st, err := s.Status(t.Context()); err != nil || len(st.Warnings) > 1 || st.LastUpdate != nil {
				t.Errorf("%+v %v", st, err)
			}
			if w, err := s.waiting(); err != nil || w != nil {
				t.Errorf("what has failed waits to be begun again at once: %+v %v", w, err)
			}
			c.makeSick(nil)
			config := *s.Config
			config.Sources = []string{c.line()}
			if err := config.Save(s.Paths.Config()); err != nil {
				t.Fatal(err)
			}
			s.untilChecked(ready)
			s.blameless()
		})
	}
}

// TestNewsInTheMiddle: while a release is on its way for days another one is asked for.
func TestNewsInTheMiddle(t *testing.T) {
	t.Parallel()
	c := newCentre(t, layerSize)
	s := newThinSite(t, c, c.line(), nil)
	c.holdAt(layerSize / 2)
	started := s.order(api.UpdateRequest{Now: true})
	s.until("at half of the first layer", some(layerSize/4))
	// Looks for news that find none change nothing.
	polls := c.polls.Load()
	s.untilChecked(func(api.Status) bool { return c.polls.Load() > polls+1 })
	if st := s.until("still fetching", some(layerSize/4)); st.Fetch.Release != "1.0.0" {
		t.Errorf("%+v", st.Fetch)
	}
	c.fleet.AddRelease("1.1.0", another(t, c.store))
	c.fleet.Assign("kin-001", "pilot", "1.1.0")
	files := c.fleet.Publish()
	c.mu.Lock()
	c.files = files
	c.mu.Unlock()
	s.untilChecked(func(st api.Status) bool {
		return st.Pinned == "1.1.0" && st.Fetch != nil && st.Fetch.Release == "1.1.0"
	})
	end := s.end(started.Change)
	if want := "1.0.0 is not all here yet: it gives way to what the central team asks for now and goes on after it"; end.Message != want || end.Error != nil {
		t.Errorf("%q %v", end.Message, end.Error)
	}
	c.goOn()
	s.until("ready, and begun at once as the person has ordered", func(st api.Status) bool {
		return ready(st) && st.LastUpdate != nil && st.LastUpdate.To == "1.1.0"
	})
	s.blameless()
}

// TestFetchesYield: a fetch ends when something is due that must not wait, and is begun again after it; copies over a line wait for it.
func TestFetchesYield(t *testing.T) {
	m, now := routineSite(t, site.Backup{At: "0 2 * * *", Drill: "0 3 1 * *", Copies: []string{"s3://s3.example.org/emr", "/media/backup"}})
	yields := func(want string) {
		t.Helper()
		got := ""
		if cause := m.mustYield(KindFetch); cause != nil {
			got = cause.Message
			if cause.Class != change.ClassYields {
				t.Errorf("class %s", cause.Class)
			}
		}
		if want != "" {
			want = "it gives way to " + want + " and goes on after it"
		}
		if got != want {
			t.Errorf("at %s: %q, want %q", now.Format(time.DateTime), got, want)
		}
		if cause := m.mustYield(KindBackup); cause != nil {
			t.Errorf("a backup gives way: %+v", cause)
		}
	}
	yields("a backup that is due") // the first
	if got := m.next(t, nil); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	yields("")
	m.keep(t, "2026-11-21T120000-0001")
	yields("a copy of the backup") // to the stick; the line is the fetch's own
	r, err := m.routine()
	if err != nil {
		t.Fatal(err)
	}
	r.Copies["/media/backup"] = Copied{Failed: "it is away", Retry: m.now().Add(-time.Minute)}
	if err := m.Journal.SetFact(factRoutine, r); err != nil {
		t.Fatal(err)
	}
	yields("") // a stick that is away is looked for when nothing else is to be done
	*now = time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	yields("a backup that is due")
	if got := m.next(t, &change.Cause{Class: change.ClassSpace, Message: "full"}); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	yields("") // not before the next try is due
	*now = time.Date(2026, 11, 22, 3, 31, 0, 0, time.UTC)
	yields("a backup that is due")
	if got := m.next(t, nil); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	*now = time.Date(2026, 12, 1, 1, 0, 0, 0, time.UTC)
	if got := m.next(t, nil); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	*now = time.Date(2026, 12, 1, 3, 30, 0, 0, time.UTC)
	yields("a backup that is due")
	if got := m.next(t, nil); got != KindBackup {
		t.Fatalf("got %q", got)
	}
	yields("the trial restore that is due")
}

// TestLooksForNewsWait: a backup is not begun anew by every look for news; a copy over a line gives way.
func TestLooksForNewsWait(t *testing.T) {
	for _, test := range []struct {
		kind  string
		plan  errandPlan
		yield bool
	}{
		{KindBackup, errandPlan{}, false},
		{KindBackup, errandPlan{Person: true}, false},
		{KindDrill, errandPlan{Name: "b"}, false},
		{KindExport, errandPlan{Name: "b", Place: "/media/backup"}, false},
		{KindExport, errandPlan{Name: "b", Place: "s3://s3.example.org/emr", Person: true}, false},
		{KindExport, errandPlan{Name: "b", Place: "s3://s3.example.org/emr"}, true},
	} {
		m, _ := routineSite(t, site.Backup{At: site.Never, Drill: site.Never})
		c, err := m.runner.Start(test.kind, test.plan, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := m.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c, err = m.Journal.Change(c.ID)
		if err != nil || (c.Cause != nil) != test.yield {
			t.Errorf("%s %+v: %+v %v", test.kind, test.plan, c.Cause, err)
		}
		c.Finished = m.now()
		if err := m.Journal.Save(c, nil); err != nil {
			t.Fatal(err)
		}
		next, err := m.unfinished()
		if err == nil && next == nil {
			next, err = m.startWaiting()
		}
		if err != nil || next == nil || next.Kind != KindFetch {
			t.Errorf("%s %+v: no look for news after it: %+v %v", test.kind, test.plan, next, err)
		}
	}
}
