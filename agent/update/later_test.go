package update

import (
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

func TestLaterIsOver(t *testing.T) {
	said := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)
	tomorrow := said.Add(31 * time.Hour)
	for _, tt := range []struct {
		name  string
		later Later
		now   time.Time
		wrong bool
		want  bool
	}{
		{"at once", Later{Until: tomorrow, For: 31 * time.Hour}, said, false, false},
		{"tonight", Later{Until: tomorrow, For: 31 * time.Hour, Ran: 7 * time.Hour}, said.Add(7 * time.Hour), false, false},
		{"tomorrow, on a computer that was off", Later{Until: tomorrow, For: 31 * time.Hour, Ran: time.Hour}, tomorrow, false, true},
		{"the clock went back by years", Later{Until: tomorrow, For: 31 * time.Hour, Ran: 30 * time.Hour}, said.AddDate(-9, 0, 0), true, false},
		{"and stays there", Later{Until: tomorrow, For: 31 * time.Hour, Ran: 31 * time.Hour}, said.AddDate(-9, 0, 0), true, true},
		{"the clock was wrong when it was said", Later{For: lostLater, Ran: time.Hour}, said, true, false},
		{"and was set right", Later{For: lostLater, Ran: time.Hour}, said.AddDate(9, 0, 0), false, false},
		{"a day of running later", Later{For: lostLater, Ran: lostLater}, said, true, true},
		{"a clock that is wrong is not believed", Later{Until: tomorrow, For: 31 * time.Hour}, tomorrow.AddDate(1, 0, 0), true, false},
	} {
		if got := tt.later.over(tt.now, tt.wrong); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestNotToday(t *testing.T) {
	c := newCentre(t, 64<<10)
	s := newThinSite(t, c, c.line(), func(c *site.Config) { c.Window = "21:00-23:00" })
	s.untilChecked(ready)
	noon := *s.wall.Load()
	tonight, tomorrow := noon.Add(9*time.Hour), noon.Add(33*time.Hour)
	st := s.until("told when", func(st api.Status) bool { return st.NextApply != nil })
	if !st.NextApply.Equal(tonight) || st.Later != nil {
		t.Fatalf("it comes at %v, put off until %v", st.NextApply, st.Later)
	}
	put, err := s.Later(t.Context(), api.LaterRequest{})
	if err != nil || !put.Later.Equal(tomorrow) || put.NextApply == nil || !put.NextApply.Equal(tomorrow) {
		t.Fatalf("%+v, %v", put, err)
	}
	due := func() bool {
		t.Helper()
		s.Manager.mu.Lock()
		defer s.Manager.mu.Unlock()
		p, err := s.dueApply()
		if err != nil {
			t.Fatal(err)
		}
		return p != nil
	}
	s.restart()
	s.at("21:30")
	if st, err := s.Status(t.Context()); err != nil || due() || !st.NextApply.Equal(tomorrow) || !st.Later.Equal(tomorrow) {
		t.Fatalf("tonight: due %v, %v, put off until %v, %v", due(), st.NextApply, st.Later, err)
	}
	s.set(tomorrow.Add(time.Minute))
	if !due() {
		t.Error("not due tomorrow")
	}
	if l, err := s.later(); err != nil || l != nil {
		t.Errorf("it is not over: %+v, %v", l, err)
	}

	// A person may want it now after all.
	s.set(tomorrow.Add(-time.Minute))
	if _, err := s.Later(t.Context(), api.LaterRequest{}); err != nil {
		t.Fatal(err)
	}
	s.order(api.UpdateRequest{Now: true})
	if l, err := s.later(); err != nil || l != nil {
		t.Errorf("it goes on: %+v, %v", l, err)
	}
}
