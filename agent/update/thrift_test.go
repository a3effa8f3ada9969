package update

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

const layerSize = 2 << 20

// TestQuietHours: a transfer stops when they begin, and goes on at the byte when they end.
func TestQuietHours(t *testing.T) {
	t.Parallel()
	c := newCentre(t, layerSize)
	s := newThinSite(t, c, c.line(), func(c *site.Config) { c.Quiet = "13:00-17:00" })
	c.holdAt(layerSize / 2)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until("at half of the first layer", some(layerSize/4))
	s.at("13:00")
	c.goOn()
	st := s.until("waiting for the end of the quiet hours", waitsFor("quiet hours until 17:00"))
	if st.LastError != "" || st.Fetch.Total < 2*layerSize || st.Fetch.Done < layerSize/4 || st.Fetch.Done > st.Fetch.Total/2 ||
		st.Fetch.Until == nil || st.Fetch.Until.Format("15:04") != "17:00" {
		t.Errorf("%+v %+v", st, st.Fetch)
	}
	// Looking for news goes on, and brings nothing more.
	polls, sent := c.polls.Load(), c.sent.Load()
	s.untilChecked(func(api.Status) bool { return c.polls.Load() > polls })
	s.until("waiting again", waitsFor("quiet hours until 17:00"))
	s.restart()
	s.until("waiting after a restart", waitsFor("quiet hours until 17:00"))
	if c.sent.Load() != sent {
		t.Errorf("%d bytes came in the quiet hours", c.sent.Load()-sent)
	}
	s.at("17:00")
	s.until("ready", ready)
	if ranges := c.ranges(); !slices.ContainsFunc(ranges, func(r string) bool {
		var from int64
		_, err := fmt.Sscanf(r, "bytes=%d-", &from)
		return err == nil && from > layerSize/4
	}) {
		t.Errorf("it did not go on at the byte: %q", ranges)
	}
	if n := s.crossed(); n < st.Fetch.Total || n > st.Fetch.Total+200_000 {
		t.Errorf("%d bytes crossed the line for %d", n, st.Fetch.Total)
	}
	s.blameless()
}

// TestNowInQuietHours: what a person wants now comes now; what the schedule wants does not, but what is near does.
func TestNowInQuietHours(t *testing.T) {
	t.Parallel()
	c := newCentre(t, 100_000)
	s := newThinSite(t, c, c.line(), func(c *site.Config) { c.Quiet = "08:00-17:00" })
	started := s.order(api.UpdateRequest{})
	end := s.end(started.Change)
	if end.Error != nil || end.Message != "1.0.0 is not all here yet: quiet hours until 17:00; dhow update --now fetches at once" {
		t.Errorf("%+v %v", end, end.Error)
	}
	near := newThinSite(t, c, c.lan(), func(c *site.Config) { c.Quiet, c.Budget.Day = "08:00-17:00", "1 MB" })
	if err := near.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := near.until("ready from the building", ready)
	if st.Line.Day != 0 {
		t.Errorf("%d bytes of the building count", st.Line.Day)
	}
	c.holdAt(1000)
	started = s.order(api.UpdateRequest{Now: true})
	s.until("fetching", some(500))
	e, _, err := s.event(started.Change)
	if err != nil || !strings.HasSuffix(e.Message, "; the quiet hours until 17:00 do not count, a person wants it now") || !strings.HasPrefix(e.Message, "2") {
		t.Errorf("%q %v", e.Message, err)
	}
	c.goOn()
	s.until("ready", func(api.Status) bool { r, _ := s.ready(); return r != nil && r.Now })
}

// end waits for the end of a change.
func (s *thinSite) end(id uint64) (last api.Event) {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	for e := range events {
		last = e
	}
	return last
}

// TestBudget: it is hard, survives restarts, and a new day brings a new one.
func TestBudget(t *testing.T) {
	t.Parallel()
	c := newCentre(t, layerSize)
	s := newThinSite(t, c, c.line(), func(c *site.Config) { c.Budget.Day, c.Budget.Month = "2 MB", "100 MB" })
	started := s.order(api.UpdateRequest{Now: true})
	end := s.end(started.Change)
	want := "1.0.0 is not all here yet: 2 of 2 MB used today; it goes on tomorrow; a stick or the local network costs nothing: dhow update --from PATH"
	if end.Error != nil || end.Message != want {
		t.Errorf("%q %v", end.Message, end.Error)
	}
	st := s.until("waiting for tomorrow", waitsFor("2 of 2 MB used today; it goes on tomorrow"))
	used := st.Line.Day
	if used < 2_000_000 || used > 2_200_000 || used < c.sent.Load()-1<<19 || st.Line.Next == "" {
		t.Errorf("%d bytes used, %d sent: %+v", used, c.sent.Load(), st.Line)
	}
	if st.Fetch.Estimate != "about 3 days with 2 MB a day" {
		t.Errorf("estimate %q", st.Fetch.Estimate)
	}
	s.restart()
	if st := s.until("waiting after a restart", waitsFor("used today")); st.Line.Day < used {
		t.Errorf("a restart has brought %d bytes back", used-st.Line.Day)
	}
	// A look for news is allowed, and counts.
	polls := c.polls.Load()
	s.untilChecked(func(st api.Status) bool { return c.polls.Load() > polls && st.Line.Day > used })
	s.until("waiting", waitsFor("used today"))
	// No other order helps, and no clock that is set and set back.
	started = s.order(api.UpdateRequest{Now: true})
	if end := s.end(started.Change); !strings.Contains(end.Message, "it goes on tomorrow") {
		t.Errorf("%+v", end)
	}
	sent, noon := c.sent.Load(), *s.wall.Load()
	for _, jump := range []time.Duration{-24 * time.Hour, 0, -8760 * time.Hour, 0} {
		s.set(noon.Add(jump))
		s.until("waiting", func(st api.Status) bool { return st.Step == "" && st.Fetch != nil && st.Fetch.Waits != "" })
	}
	if c.sent.Load() != sent {
		t.Errorf("jumps of the clock brought %d bytes", c.sent.Load()-sent)
	}
	s.at("11:00")
	s.until("at the end of another day's budget", func(st api.Status) bool {
		return waitsFor("used today")(st) && st.Fetch.Done > 3_500_000
	})
	s.at("10:00")
	s.until("ready", ready)
	if n := s.crossed(); n < 2*layerSize || n > 2*layerSize+200_000 {
		t.Errorf("%d bytes crossed the line", n)
	}
	s.blameless()
}

// TestPause: it holds at once, also where nothing comes, over restarts, and not for sticks.
func TestPause(t *testing.T) {
	t.Parallel()
	c := newCentre(t, layerSize)
	s := newThinSite(t, c, c.lan(), nil)
	c.holdAt(layerSize / 2)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until("at half of the first layer", some(layerSize/4))
	p, err := s.Pause(t.Context(), api.PauseRequest{Seconds: 3 * 3600})
	if err != nil || p.Pause.Until == nil || !p.Pause.Until.Equal(s.wall.Load().Add(3*time.Hour)) {
		t.Fatalf("%+v %v", p, err)
	}
	st := s.until("paused", waitsFor("paused by a person until 15:00"))
	if st.Paused == nil || st.Fetch.Done < layerSize/4 {
		t.Errorf("%+v %+v", st.Paused, st.Fetch)
	}
	c.goOn()
	sent := c.sent.Load()
	s.restart()
	s.until("paused after a restart", waitsFor("paused by a person until 15:00"))
	started := s.order(api.UpdateRequest{Now: true})
	if end := s.end(started.Change); end.Message != "1.0.0 is not all here yet: paused by a person until 15:00; dhow resume ends the pause" || end.Error != nil {
		t.Errorf("%+v", end)
	}
	if more := c.sent.Load() - sent; more > 1<<20 { // what was on its way when it was cut
		t.Errorf("%d bytes came in a pause", more)
	}
	s.at("15:00")
	s.until("ready by itself", ready)

	other := newThinSite(t, c, c.line(), nil)
	if _, err := other.Pause(t.Context(), api.PauseRequest{}); err != nil {
		t.Fatal(err)
	}
	other.set(other.wall.Load().AddDate(1, 0, 0))
	if st := other.until("paused", func(st api.Status) bool { return st.Paused != nil }); st.Paused.Until != nil {
		t.Errorf("%+v", st.Paused)
	}
	other.set(other.wall.Load().AddDate(-1, 0, 0))
	started = other.order(api.UpdateRequest{From: stickOf(t, c)})
	other.until("ready from a stick", ready)
	if r, err := other.Resume(t.Context()); err != nil || r.Ended == nil || r.Pause != nil {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := other.Resume(t.Context()); err != nil || r.Ended != nil {
		t.Errorf("%+v %v", r, err)
	}
	for _, seconds := range []int64{-1, 30, 1 << 40} {
		if _, err := other.Pause(t.Context(), api.PauseRequest{Seconds: seconds}); api.Code(err) != api.CodeUsage {
			t.Errorf("%d: %v", seconds, err)
		}
	}
}

func TestPausesEnd(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		p    Pause
		now  time.Duration // after it began
		over bool
	}{
		{"without an end", Pause{}, 8760 * time.Hour, false},
		{"in it", Pause{For: time.Hour}, 59 * time.Minute, false},
		{"at its end", Pause{For: time.Hour}, time.Hour, true},
		{"after it", Pause{For: time.Hour}, 8760 * time.Hour, true},
		{"a clock set a little back", Pause{For: time.Hour}, -30 * time.Second, false},
		{"a clock set back by years", Pause{For: time.Hour}, -8760 * time.Hour, true},
		{"without a clock", Pause{For: time.Hour, Ran: time.Hour}, time.Minute, true},
	} {
		test.p.Since = at
		if got := test.p.over(at.Add(test.now)); got != test.over {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
