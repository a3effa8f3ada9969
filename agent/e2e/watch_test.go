//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a user can see, besides a release's version.
const (
	sawMaintenance = "maintenance page"
	sawNothing     = "no answer"
)

// browser is a client where the users of the site are.
func (s *Site) browser() *http.Client {
	t := &http.Transport{DisableKeepAlives: true}
	if s.engine != nil {
		t.DialContext = s.engine.dial
	}
	return &http.Client{Timeout: 2 * time.Second, Transport: t}
}

// fetch says what a user sees at a path of the site: the text of a good answer, or one of the words above, or an error.
func (s *Site) fetch(path string) string {
	resp, err := s.browser().Get(s.url(path))
	if err != nil {
		return sawNothing
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return sawNothing
	case resp.StatusCode == http.StatusOK:
		return strings.TrimSpace(string(text))
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return sawMaintenance
	}
	return fmt.Sprintf("%s: %.80s", resp.Status, text)
}

// Sight is what users saw from one moment on.
type Sight struct {
	What string
	From time.Time
}

// Watcher is the user who reloads the page all the time.
type Watcher struct {
	t     testing.TB
	stop  chan struct{}
	done  sync.WaitGroup
	sight []Sight
}

// watch looks at the site's page every 50 ms until the watcher is asked for what it saw.
func (s *Site) watch() *Watcher {
	w := &Watcher{t: s.t, stop: make(chan struct{})}
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			at := time.Now()
			what := s.fetch("/release")
			if n := len(w.sight); n == 0 || w.sight[n-1].What != what {
				w.sight = append(w.sight, Sight{what, at})
			}
			select {
			case <-w.stop:
				w.sight = append(w.sight, Sight{"", time.Now()})
				return
			case <-tick.C:
			}
		}
	}()
	return w
}

// end stops watching and answers what was seen, for how long each.
func (w *Watcher) end() string {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
	var out []string
	for i := range len(w.sight) - 1 {
		out = append(out, fmt.Sprintf("%s for %.1fs", w.sight[i].What, w.sight[i+1].From.Sub(w.sight[i].From).Seconds()))
	}
	return strings.Join(out, ", ")
}

// only fails the test unless users saw the release from, then nothing but the maintenance page (and, for at most slack in all, no
// answer), then the release to. It answers the time without the application.
func (w *Watcher) only(from, to string, slack time.Duration) (away time.Duration) {
	w.t.Helper()
	story := w.end()
	var silent time.Duration
	first, last := -1, -1
	for i := range len(w.sight) - 1 {
		span := w.sight[i+1].From.Sub(w.sight[i].From)
		switch w.sight[i].What {
		case sawMaintenance:
			away += span
			if first < 0 {
				first = i
			}
			last = i
		case sawNothing:
			away += span
			silent += span
		case from:
			if from != to && last >= 0 {
				w.t.Errorf("users saw %s again after the maintenance page: %s", from, story)
			}
		case to:
			if first < 0 {
				w.t.Errorf("users saw %s before any maintenance page: %s", to, story)
			}
		default:
			w.t.Errorf("users saw %q: %s", w.sight[i].What, story)
		}
	}
	if first < 0 {
		w.t.Errorf("users never saw the maintenance page: %s", story)
	}
	if silent > slack {
		w.t.Errorf("users got no answer for %s, more than %s: %s", silent.Round(time.Millisecond), slack, story)
	}
	if n := len(w.sight); n < 2 || w.sight[0].What != from || w.sight[n-2].What != to {
		w.t.Errorf("users should see %s first and %s at the end: %s", from, to, story)
	}
	w.t.Logf("users saw: %s", story)
	return away
}
