package site

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones on computers that have none installed
)

// Window is the hours of the day in which the facility allows downtime. The zero Window is always open.
type Window struct {
	from, to int // minutes since midnight; to is later than from, and beyond 24:00 when the window spans midnight
	zone     *time.Location
}

// ParseWindow reads "21:00-05:00" in the time zone with that IANA name, or in the computer's when the name is empty. An empty window is
// always open.
func ParseWindow(s, zoneName string) (Window, error) {
	loc, err := zone(zoneName)
	if err != nil {
		return Window{}, err
	}
	if strings.TrimSpace(s) == "" {
		return Window{}, nil
	}
	a, b, ok := strings.Cut(s, "-")
	from, errFrom := clock(a)
	to, errTo := clock(b)
	if !ok || errFrom != nil || errTo != nil || from == 24*60 {
		return Window{}, wrong("window", "window %q is not understood: write it like 21:00-05:00", "value", s)
	}
	if from == to {
		return Window{}, wrong("window_empty", "window %q is empty: write 00:00-24:00 for the whole day", "value", s)
	}
	if to < from {
		to += 24 * 60
	}
	return Window{from: from, to: to, zone: loc}, nil
}

// Always reports whether the window is open at every hour, so that nobody needs to know the time.
func (w Window) Always() bool { return w.zone == nil || w.to-w.from >= 24*60 }

// Open reports whether t is inside the window.
func (w Window) Open(t time.Time) bool {
	if w.zone == nil {
		return true
	}
	for day := -1; day <= 0; day++ {
		if start, end := w.on(t, day); !t.Before(start) && t.Before(end) {
			return true
		}
	}
	return false
}

// Next returns when the window opens: t itself when it is open, otherwise the first such moment after t.
func (w Window) Next(t time.Time) time.Time {
	if w.Open(t) {
		return t
	}
	for day := 0; ; day++ {
		if start, _ := w.on(t, day); start.After(t) {
			return start
		}
	}
}

// Tomorrow returns the first moment of the window that begins on a later day than t; a window that is always open begins at midnight.
func (w Window) Tomorrow(t time.Time) time.Time {
	if w.zone == nil {
		w.zone = time.Local
	}
	start, _ := w.on(t, 1)
	return start
}

// String returns the window as it is written in the configuration, "" when it is always open.
func (w Window) String() string {
	if w.zone == nil {
		return ""
	}
	to := w.to
	if to > 24*60 {
		to -= 24 * 60
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.from/60, w.from%60, to/60, to%60)
}

// on returns the window that begins days after the day of t. Both ends are times on the wall's clock, because people mean those, also on
// the two days a year on which it is changed. When the change swallows the window's end it keeps its length.
func (w Window) on(t time.Time, days int) (start, end time.Time) {
	y, m, d := t.In(w.zone).Date()
	start = time.Date(y, m, d+days, 0, w.from, 0, 0, w.zone)
	end = time.Date(y, m, d+days, 0, w.to, 0, 0, w.zone)
	if !end.After(start) {
		end = start.Add(time.Duration(w.to-w.from) * time.Minute)
	}
	return start, end
}

// clock reads HH:MM up to 24:00 as minutes since midnight.
func clock(s string) (int, error) {
	s = strings.TrimSpace(s)
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err
}

// Zone is the time zone with an IANA name, the computer's for the empty one.
func Zone(name string) (*time.Location, error) { return zone(name) }

func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, wrong("zone", "time zone %q is not known: write it like Africa/Kinshasa", "value", name)
	}
	return loc, nil
}
