package site

import (
	"testing"
	"time"
)

func at(t *testing.T, zone, s string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	v, err := time.ParseInLocation("2006-01-02 15:04", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWindowOpen(t *testing.T) {
	for _, c := range []struct {
		window, zone, at string
		open             bool
	}{
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-21 20:59", false},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-21 21:00", true},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-22 00:00", true},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-22 04:59", true},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-22 05:00", false},
		{"12:00-13:30", "UTC", "2026-11-21 13:29", true},
		{"12:00-13:30", "UTC", "2026-11-21 13:30", false},
		{"00:00-24:00", "UTC", "2026-11-21 00:00", true},
		{"00:00-24:00", "UTC", "2026-11-21 23:59", true},
		{"20:00-00:00", "UTC", "2026-11-21 23:59", true},
		{"20:00-00:00", "UTC", "2026-11-21 00:00", false},
		{"", "UTC", "2026-11-21 10:00", true},
		// 29 March 2026: clocks go from 02:00 to 03:00 in Berlin. 25 October: from 03:00 back to 02:00.
		{"21:00-05:00", "Europe/Berlin", "2026-03-29 04:59", true},
		{"21:00-05:00", "Europe/Berlin", "2026-03-29 05:00", false},
		{"21:00-05:00", "Europe/Berlin", "2026-10-25 04:59", true},
		{"21:00-05:00", "Europe/Berlin", "2026-10-25 05:00", false},
		{"02:30-03:15", "Europe/Berlin", "2026-03-29 03:40", true},
	} {
		w, err := ParseWindow(c.window, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Open(at(t, c.zone, c.at).UTC()); got != c.open {
			t.Errorf("%s %s at %s: open %v", c.window, c.zone, c.at, got)
		}
	}
}

func TestWindowNext(t *testing.T) {
	for _, c := range []struct{ window, zone, at, want string }{
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-21 12:00", "2026-11-21 21:00"},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-21 22:00", "2026-11-21 22:00"},
		{"21:00-05:00", "Africa/Kinshasa", "2026-11-22 03:00", "2026-11-22 03:00"},
		{"02:00-04:00", "UTC", "2026-12-31 05:00", "2027-01-01 02:00"},
		{"02:30-03:15", "Europe/Berlin", "2026-03-29 01:00", "2026-03-29 03:30"},
		{"", "UTC", "2026-12-31 05:00", "2026-12-31 05:00"},
	} {
		w, err := ParseWindow(c.window, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.Next(at(t, c.zone, c.at)), at(t, c.zone, c.want); !got.Equal(want) {
			t.Errorf("%s %s at %s: next %v, want %v", c.window, c.zone, c.at, got, want)
		}
	}
}

// Every day of a year, in a zone with summer time, has the window once, and Next finds its first minute.
func TestWindowComesEveryDay(t *testing.T) {
	for _, s := range []string{"21:00-05:00", "02:30-03:15", "02:00-03:00", "03:00-02:30"} {
		w, err := ParseWindow(s, "Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		opened, was := 0, true
		start := at(t, "Europe/Berlin", "2026-01-01 12:00")
		for m := start; m.Before(start.AddDate(1, 0, 0)); m = m.Add(5 * time.Minute) {
			open := w.Open(m)
			if open && !was {
				opened++
				if next := w.Next(m.Add(-time.Minute)); !next.Equal(m) {
					t.Errorf("%s: opens at %v, Next says %v", s, m, next)
				}
			}
			was = open
		}
		if opened != 365 && s != "03:00-02:30" || opened < 364 {
			t.Errorf("%s: opened %d times in a year", s, opened)
		}
	}
}

func TestWindowMistakes(t *testing.T) {
	for _, c := range []struct{ window, zone, want string }{
		{"21:00", "", `window "21:00" is not understood: write it like 21:00-05:00`},
		{"21-5", "", `window "21-5" is not understood: write it like 21:00-05:00`},
		{"25:00-05:00", "", `window "25:00-05:00" is not understood: write it like 21:00-05:00`},
		{"24:00-05:00", "", `window "24:00-05:00" is not understood: write it like 21:00-05:00`},
		{"05:00-05:00", "", `window "05:00-05:00" is empty: write 00:00-24:00 for the whole day`},
		{"", "Mars/Base", `time zone "Mars/Base" is not known: write it like Africa/Kinshasa`},
	} {
		if _, err := ParseWindow(c.window, c.zone); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.window, err, c.want)
		}
	}
}

func TestWindowString(t *testing.T) {
	for _, s := range []string{"", "21:00-05:00", "00:00-24:00", "09:05-10:00"} {
		if w, err := ParseWindow(s, "UTC"); err != nil || w.String() != s {
			t.Errorf("%q: %q, %v", s, w.String(), err)
		}
	}
}

func TestAlways(t *testing.T) {
	for text, want := range map[string]bool{"": true, "00:00-24:00": true, "21:00-05:00": false, "00:00-23:59": false} {
		w, err := ParseWindow(text, "UTC")
		if err != nil || w.Always() != want {
			t.Errorf("%q is always open: %v, %v", text, w.Always(), err)
		}
	}
}

func TestTomorrow(t *testing.T) {
	kinshasa, err := time.LoadLocation("Africa/Kinshasa")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, kinshasa) }
	for _, tt := range []struct {
		window string
		now    time.Time
		want   time.Time
	}{
		{"21:00-05:00", at(21, 14, 0), at(22, 21, 0)},
		{"21:00-05:00", at(21, 22, 0), at(22, 21, 0)},
		{"21:00-05:00", at(21, 2, 0), at(22, 21, 0)}, // at night it is today already
		{"12:00-13:00", at(21, 12, 30), at(22, 12, 0)},
		{"00:00-24:00", at(21, 14, 0), at(22, 0, 0)},
	} {
		w, err := ParseWindow(tt.window, "Africa/Kinshasa")
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Tomorrow(tt.now); !got.Equal(tt.want) {
			t.Errorf("%s at %s: got %s, want %s", tt.window, tt.now, got, tt.want)
		}
	}
	now := time.Date(2026, 11, 21, 14, 0, 0, 0, time.Local)
	if got, want := (Window{}).Tomorrow(now), time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local); !got.Equal(want) {
		t.Errorf("without a window: got %s, want %s", got, want)
	}
}
