package site

import (
	"fmt"
	"testing"
	"time"
)

func TestScheduleFollowsTheExpression(t *testing.T) {
	for _, c := range []struct {
		expr, zone, at, earliest string
		jitter                   time.Duration
	}{
		{"", "UTC", "2026-11-21 10:30", "2026-11-21 11:00", 15 * time.Minute},
		{"0 20 * * *", "Africa/Kinshasa", "2026-11-21 10:30", "2026-11-21 20:00", 15 * time.Minute},
		{"0 20 * * *", "Africa/Kinshasa", "2026-11-21 20:31", "2026-11-22 20:00", 15 * time.Minute},
		{"*/10 * * * *", "UTC", "2026-11-21 10:31", "2026-11-21 10:31", 10 * time.Minute},
		{"@daily", "UTC", "2026-11-21 10:31", "2026-11-22 00:00", 15 * time.Minute},
		{"@every 2h", "UTC", "2026-11-21 10:31", "2026-11-21 12:31", 15 * time.Minute},
	} {
		for i := range 50 {
			s, err := ParseSchedule(c.expr, c.zone, fmt.Sprintf("kin-%03d", i))
			if err != nil {
				t.Fatal(err)
			}
			got, earliest := s.Next(at(t, c.zone, c.at)), at(t, c.zone, c.earliest)
			if got.Before(earliest) || got.After(earliest.Add(c.jitter)) {
				t.Errorf("%q at %s: %v, want up to %v after %v", c.expr, c.at, got, c.jitter, earliest)
			}
		}
	}
}

func TestScheduleIsSpreadAndSteady(t *testing.T) {
	now := at(t, "UTC", "2026-11-21 10:30")
	minutes := map[int]int{}
	for i := range 600 {
		name := fmt.Sprintf("kin-%03d", i)
		a, err := ParseSchedule("0 20 * * *", "UTC", name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseSchedule("0 20 * * *", "UTC", name)
		if err != nil {
			t.Fatal(err)
		}
		first := a.Next(now)
		if !b.Next(now).Equal(first) {
			t.Fatalf("%s: two answers for one site", name)
		}
		if again := a.Next(first); again.Sub(first) != 24*time.Hour {
			t.Fatalf("%s: %v after %v", name, again, first)
		}
		if soon := a.Soon(); soon < 0 || soon > 2*time.Minute {
			t.Fatalf("%s: soon is %v", name, soon)
		}
		minutes[first.Minute()]++
	}
	if len(minutes) != 15 {
		t.Errorf("600 sites ask in %d different minutes, want 15", len(minutes))
	}
	for m, n := range minutes {
		if n > 70 {
			t.Errorf("%d of 600 sites ask in minute %d", n, m)
		}
	}
}

// Next always moves on, whatever the moment: a loop of Next neither stands still nor leaves a time out.
func TestScheduleMovesOn(t *testing.T) {
	s, err := ParseSchedule("0 * * * *", "Europe/Berlin", "kin-001")
	if err != nil {
		t.Fatal(err)
	}
	now, count := at(t, "Europe/Berlin", "2026-03-28 00:00"), 0
	end := now.Add(72 * time.Hour)
	for now = s.Next(now); now.Before(end); count++ {
		next := s.Next(now)
		if d := next.Sub(now); d < 45*time.Minute || d > 75*time.Minute {
			t.Fatalf("%v after %v", next, now)
		}
		now = next
	}
	if count != 72 {
		t.Errorf("%d times in 72 hours", count)
	}
}

func TestScheduleMistakes(t *testing.T) {
	for _, c := range []struct{ expr, zone, want string }{
		{"20:00", "", `schedule "20:00" is not understood: write five fields, like "0 20 * * *" for 20:00 every day`},
		{"TZ=", "", `schedule "TZ=" names a time zone: write it under time_zone`},
		{"CRON_TZ=UTC 0 1 * * *", "", `schedule "CRON_TZ=UTC 0 1 * * *" names a time zone: write it under time_zone`},
		{"0 1 * * *", "Nowhere", `time zone "Nowhere" is not known: write it like Africa/Kinshasa`},
	} {
		if _, err := ParseSchedule(c.expr, c.zone, "a"); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.expr, err, c.want)
		}
	}
	s, err := ParseSchedule("0 0 31 2 *", "UTC", "a")
	if err != nil {
		t.Fatal(err)
	}
	if next := s.Next(at(t, "UTC", "2026-01-01 00:00")); !next.IsZero() {
		t.Errorf("the 31st of February is %v", next)
	}
}
