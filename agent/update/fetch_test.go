package update

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// sickly lets the answers for large blobs be what f makes of their content, without a word on ranges.
func (c *centre) sickly(f func(w http.ResponseWriter, data []byte)) *atomic.Int64 {
	asked := &atomic.Int64{}
	c.makeSick(func(w http.ResponseWriter, r *http.Request) bool {
		path := strings.TrimPrefix(r.URL.Path, "/")
		data, err := os.ReadFile(filepath.Join(c.store.Dir(), filepath.FromSlash(path)))
		if !strings.HasPrefix(path, "blobs/") || err != nil || len(data) < 500_000 {
			return false
		}
		asked.Add(1)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		f(w, data)
		return true
	})
	return asked
}

func soon(t *testing.T) {
	before := idleDelay
	idleDelay = 10 * time.Millisecond
	t.Cleanup(func() { idleDelay = before })
}

// givesUp lets the schedule look for news once, until the fetch has ended in vain.
func (s *thinSite) givesUp() {
	s.t.Helper()
	if err := s.Check(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.until("given up", func(api.Status) bool {
		var poll Poll
		if _, err := s.Journal.Fact(factPoll, &poll); err != nil {
			s.t.Fatal(err)
		}
		return poll.Error != ""
	})
}

// TestBytesThatComeAgainAreNoProgress: a server that begins anew each time, and never comes behind what is here, is given up.
func TestBytesThatComeAgainAreNoProgress(t *testing.T) {
	soon(t)
	c := newCentre(t, 1<<20)
	s := newThinSite(t, c, c.line(), nil)
	var begun atomic.Bool
	asked := c.sickly(func(w http.ResponseWriter, data []byte) {
		n := 300_000
		if begun.CompareAndSwap(false, true) {
			n = 600_000
		}
		_, _ = w.Write(data[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s.givesUp()
	if n := asked.Load(); n > 15 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestALiarIsNotAskedAgain: while another source is away, the one that sends wrong bytes moves its bytes once.
func TestALiarIsNotAskedAgain(t *testing.T) {
	soon(t)
	c := newCentre(t, 1<<20)
	s := newThinSite(t, c, c.line(), func(config *site.Config) {
		config.Sources = append(config.Sources, "http://0.0.0.0:1/nobody")
	})
	asked := c.sickly(func(w http.ResponseWriter, data []byte) {
		data[len(data)-1] ^= 1
		_, _ = w.Write(data)
	})
	s.givesUp()
	if n := asked.Load(); n > 1 {
		t.Errorf("it was asked %d times", n)
	}
}

// TestABadStickTakesNothingAway: what came over the line before stays.
func TestABadStickTakesNothingAway(t *testing.T) {
	c := newCentre(t, 1<<20)
	s := newThinSite(t, c, c.line(), nil)
	c.holdAt(900_000)
	s.untilChecked(some(800_000))
	coming := largestIn(t, filepath.Join(s.Paths.Store(), "partial"), "")
	stick := filepath.Join(stickOf(t, c), "blobs", "sha256")
	other := largestIn(t, stick, coming)
	data, err := os.ReadFile(filepath.Join(stick, other))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-9] ^= 1
	if err := os.Remove(filepath.Join(stick, other)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stick, other), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(stick, coming)); err != nil {
		t.Fatal(err)
	}
	before, err := s.Store.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	started := s.order(api.UpdateRequest{From: filepath.Dir(filepath.Dir(stick))})
	s.until("ended", func(api.Status) bool {
		ch, err := s.Journal.Change(started.Change)
		return err == nil && ch != nil && !ch.Finished.IsZero()
	})
	if after, err := s.Store.Bytes(); err != nil || after < before {
		t.Errorf("%d bytes are left of %d, error %v", after, before, err)
	}
	c.goOn()
}

// largestIn is the name of the largest file of a folder that is not called not.
func largestIn(t *testing.T, dir, not string) (name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	most := int64(-1)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most && e.Name() != not {
			name, most = e.Name(), info.Size()
		}
	}
	return name
}
