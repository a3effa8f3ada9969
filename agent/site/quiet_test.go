package site

import (
	"testing"
	"time"
)

func TestQuiet(t *testing.T) {
	for _, c := range []struct{ quiet, zone, at, until, next string }{
		{"08:00-17:00", "Africa/Kinshasa", "2026-11-21 07:59", "", "2026-11-21 08:00"},
		{"08:00-17:00", "Africa/Kinshasa", "2026-11-21 08:00", "2026-11-21 17:00", "2026-11-22 08:00"},
		{"08:00-17:00", "Africa/Kinshasa", "2026-11-21 16:59", "2026-11-21 17:00", "2026-11-22 08:00"},
		{"08:00-17:00", "Africa/Kinshasa", "2026-11-21 17:00", "", "2026-11-22 08:00"},
		{"22:00-06:00", "UTC", "2026-11-21 23:00", "2026-11-22 06:00", "2026-11-22 22:00"},
		{"22:00-06:00", "UTC", "2026-11-22 05:00", "2026-11-22 06:00", "2026-11-22 22:00"},
		{"08:00-12:00, 13:00-17:00", "UTC", "2026-11-21 09:00", "2026-11-21 12:00", "2026-11-21 13:00"},
		{"08:00-12:00, 13:00-17:00", "UTC", "2026-11-21 12:30", "", "2026-11-21 13:00"},
		{"08:00-12:00,12:00-17:00", "UTC", "2026-11-21 09:00", "2026-11-21 17:00", "2026-11-21 12:00"},
		{"20:00-24:00, 00:00-06:00", "UTC", "2026-11-21 21:00", "2026-11-22 06:00", "2026-11-22 00:00"},
		{"08:00-17:00", "Europe/Berlin", "2026-03-29 09:00", "2026-03-29 17:00", "2026-03-30 08:00"},
		// The hour from 02:00 to 03:00 does not exist on that day.
		{"02:00-03:00", "Europe/Berlin", "2026-03-29 01:59", "", "2026-03-29 03:00"},
		{"", "UTC", "2026-11-21 09:00", "", ""},
		{"never", "UTC", "2026-11-21 09:00", "", ""},
	} {
		q, err := ParseQuiet(c.quiet, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		now := at(t, c.zone, c.at)
		text := func(v time.Time) string {
			if v.IsZero() {
				return ""
			}
			return v.In(now.Location()).Format("2006-01-02 15:04")
		}
		if got := text(q.Until(now)); got != c.until {
			t.Errorf("%s at %s: until %q, want %q", c.quiet, c.at, got, c.until)
		}
		if got := text(q.Next(now)); got != c.next {
			t.Errorf("%s at %s: next %q, want %q", c.quiet, c.at, got, c.next)
		}
	}
}

func TestQuietMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"by day":                   `quiet hours "by day" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		"08:00-25:00":              `quiet hours "08:00-25:00" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		"08:00-08:00":              `quiet hours "08:00-08:00" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		"8:00-9:00":                `quiet hours "8:00-9:00" are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		"08:00-17:00,":             `quiet hours "08:00-17:00," are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00`,
		"00:00-24:00":              `quiet hours "00:00-24:00" fill the whole day: nothing would ever be fetched`,
		"06:00-20:00, 19:00-06:00": `quiet hours "06:00-20:00, 19:00-06:00" fill the whole day: nothing would ever be fetched`,
	} {
		if _, err := ParseQuiet(text, ""); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
