package update

import (
	"testing"
	"time"

	"dhow/agent/site"
)

func limitsOf(t *testing.T, quiet string, day, month, rate int64) limits {
	t.Helper()
	q, err := site.ParseQuiet(quiet, "UTC")
	if err != nil {
		t.Fatal(err)
	}
	return limits{quiet: q, day: day, month: month, rate: rate, zone: time.UTC}
}

func TestHolds(t *testing.T) {
	const mb = 1_000_000
	for _, test := range []struct {
		name       string
		at         string
		quiet      string
		day, month int64 // budgets
		tally      Tally
		wrong, now bool
		want       string
		until      string
	}{
		{name: "nothing", at: "2026-11-21 12:00"},
		{name: "quiet", at: "2026-11-21 12:00", quiet: "08:00-17:00", want: "quiet hours until 17:00", until: "2026-11-21 17:00"},
		{name: "over midnight", at: "2026-11-21 23:00", quiet: "22:00-06:00", want: "quiet hours until 22 Nov 06:00", until: "2026-11-22 06:00"},
		{name: "before", at: "2026-11-21 07:59", quiet: "08:00-17:00"},
		{name: "a person wants it now", at: "2026-11-21 12:00", quiet: "08:00-17:00", now: true},
		{name: "nobody knows the hour", at: "2026-11-21 12:00", quiet: "08:00-17:00", wrong: true},
		{name: "some left", at: "2026-11-21 12:00", day: 50 * mb, tally: Tally{Day: Period{Name: "2026-11-21", Bytes: 49 * mb}}},
		{
			name: "used up", at: "2026-11-21 12:00", day: 50 * mb, now: true, tally: Tally{Day: Period{Name: "2026-11-21", Bytes: 50 * mb}},
			want: "50 of 50 MB used today; it goes on tomorrow", until: "2026-11-22 00:00",
		},
		{
			name: "the month", at: "2026-12-21 12:00", day: 50 * mb, month: 1000 * mb,
			tally: Tally{Day: Period{Name: "2026-12-21", Bytes: 50 * mb}, Month: Period{Name: "2026-12", Bytes: 1001 * mb}},
			want:  "1 of 1 GB used this month; it goes on on 1 Jan", until: "2027-01-01 00:00",
		},
		{
			name: "counted for another day", at: "2026-11-21 12:00", day: 50 * mb, tally: Tally{Day: Period{Name: "2030-01-01", Bytes: 50 * mb}},
			want: "the data budget is used up; it goes on when the clock is right, or when the computer has run for a day",
		},
		{
			name: "without a clock", at: "1970-01-01 00:00", day: 50 * mb, wrong: true, tally: Tally{Day: Period{Name: "2026-11-21", Bytes: 50 * mb}},
			want: "the data budget is used up; it goes on when the clock is right, or when the computer has run for a day",
		},
		{
			name: "the month without a clock", at: "1970-01-01 00:00", month: 50 * mb, wrong: true, tally: Tally{Month: Period{Name: "2026-11", Bytes: 50 * mb}},
			want: "the data budget of the month is used up; it goes on when the clock is right, or when the computer has run for a month",
		},
	} {
		wall, err := time.Parse("2006-01-02 15:04", test.at)
		if err != nil {
			t.Fatal(err)
		}
		h := limitsOf(t, test.quiet, test.day, test.month, 0).holds(moment{wall: wall, wrong: test.wrong}, &test.tally, test.now)
		got, until := "", ""
		if h != nil {
			got = h.text
			if h.said == nil {
				t.Errorf("%s: there are no words for %q", test.name, got)
			}
			if !h.until.IsZero() {
				until = h.until.Format("2006-01-02 15:04")
			}
		}
		if got != test.want || until != test.until {
			t.Errorf("%s: %q until %q, want %q until %q", test.name, got, until, test.want, test.until)
		}
	}
}

func TestForecast(t *testing.T) {
	const kb, mb, gb = 1000, 1_000_000, 1_000_000_000
	for _, test := range []struct {
		name             string
		at               string
		quiet            string
		day, month, rate int64
		bytes            int64
		speed            float64
		used             int64 // of both budgets
		now              bool
		want             string
	}{
		{name: "nothing is known", bytes: 34 * mb},
		{name: "nothing to come", speed: 100},
		{name: "speed", bytes: 34 * mb, speed: 22.5 * kb, want: "about 25 minutes at the speed of the last days"},
		{name: "a moment", bytes: 34 * kb, speed: 22.5 * kb, want: "about 1 minute at the speed of the last days"},
		{name: "minutes", bytes: 7 * mb, speed: 20 * kb, want: "about 6 minutes at the speed of the last days"},
		{name: "hours", bytes: 337 * mb, speed: 20 * kb, want: "about 5 hours at the speed of the last days"},
		{name: "days", bytes: 3 * gb, speed: 10 * kb, want: "about 3 days at the speed of the last days"},
		{name: "limited", bytes: 64 * 600 * kb, speed: 1 * gb, rate: 64 * kb, want: "about 10 minutes at 64 kB/s"},
		{name: "limited, and nothing is known", bytes: 64 * 600 * kb, rate: 64 * kb, want: "about 10 minutes at 64 kB/s"},
		{name: "budget", bytes: 120 * mb, speed: 1 * mb, day: 50 * mb, want: "about 3 days with 50 MB a day"},
		{name: "budget, and nothing is known", bytes: 120 * mb, day: 50 * mb, want: "about 3 days with 50 MB a day"},
		{name: "budget, some of it used", bytes: 120 * mb, day: 50 * mb, used: 40 * mb, want: "about 4 days with 50 MB a day"},
		{name: "enough", bytes: 20 * mb, day: 50 * mb, used: 10 * mb, speed: 100 * kb, want: "about 3 minutes at the speed of the last days"},
		{name: "enough, and nothing is known", bytes: 20 * mb, day: 50 * mb, used: 10 * mb},
		{name: "slower than the budget", bytes: 120 * mb, day: 500 * mb, speed: 1 * kb, want: "about 33 hours at the speed of the last days"},
		{name: "month", at: "2026-11-21 12:00", bytes: 1500 * mb, month: 1 * gb, used: 1 * gb, want: "about 42 days with 1 GB a month"},
		{name: "day and month", bytes: 3 * gb, day: 50 * mb, month: 500 * mb, want: "about 161 days with 500 MB a month"},
		{name: "quiet", at: "2026-11-21 07:00", bytes: 72 * mb, speed: 10 * kb, quiet: "08:00-17:00", want: "about 11 hours with the quiet hours"},
		{name: "in quiet hours", at: "2026-11-21 12:00", bytes: 36 * mb, speed: 10 * kb, quiet: "08:00-17:00", want: "about 6 hours with the quiet hours"},
		{name: "at once", at: "2026-11-21 12:00", bytes: 36 * mb, speed: 10 * kb, quiet: "08:00-17:00", now: true, want: "about 60 minutes at the speed of the last days"},
		{name: "quiet does not matter", at: "2026-11-21 18:00", bytes: 36 * mb, speed: 10 * kb, quiet: "08:00-17:00", want: "about 60 minutes at the speed of the last days"},
		{name: "all of it", at: "2026-11-21 12:00", bytes: 100 * mb, speed: 10 * kb, quiet: "08:00-17:00", day: 50 * mb, want: "about 2 days with 50 MB a day"},
		{name: "for ever", bytes: 100 * gb, day: 1 * mb, want: "more than a year with 1 MB a day"},
		{name: "without any hour", bytes: 1 * gb, speed: 0.001, quiet: "08:00-17:00", want: "more than a year with the quiet hours"},
	} {
		if test.at == "" {
			test.at = "2026-11-01 18:00"
		}
		wall, err := time.Parse("2006-01-02 15:04", test.at)
		if err != nil {
			t.Fatal(err)
		}
		tally := &Tally{Day: Period{Bytes: test.used}, Month: Period{Bytes: test.used}}
		l := limitsOf(t, test.quiet, test.day, test.month, test.rate)
		got := l.forecast(moment{wall: wall}, tally, test.bytes, test.speed, test.now)
		if got.text != test.want {
			t.Errorf("%s: %q, want %q", test.name, got.text, test.want)
		}
		if (got.said == nil) != (got.text == "") {
			t.Errorf("%s: %q has the words %+v", test.name, got.text, got.said)
		}
	}
}

// TestForecastsEnd: whatever the hours and zones, a forecast comes to its end.
func TestForecastsEnd(t *testing.T) {
	for _, zone := range []string{"UTC", "Africa/Cairo", "America/Sao_Paulo", "Asia/Beirut", "Africa/Kinshasa"} {
		q, err := site.ParseQuiet("23:00-01:00, 00:30-06:00, 08:00-17:00", zone)
		if err != nil {
			t.Fatal(err)
		}
		where, err := site.Zone(zone)
		if err != nil {
			t.Fatal(err)
		}
		l := limits{quiet: q, day: 1_000_000, month: 10_000_000, zone: where}
		for _, speed := range []float64{0, 0.5, 100, 1e9} {
			wall := time.Date(2026, 4, 23, 22, 30, 0, 0, where)
			if got := l.forecast(moment{wall: wall}, &Tally{}, 80_000_000, speed, false).text; got == "" {
				t.Errorf("%s at %v: nothing", zone, speed)
			}
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1 minute", 89 * time.Second: "1 minute", 2 * time.Minute: "2 minutes", 9*time.Minute + 29*time.Second: "9 minutes",
		12 * time.Minute: "10 minutes", 87 * time.Minute: "85 minutes", 88 * time.Minute: "1 hour", 100 * time.Minute: "2 hours",
		35 * time.Hour: "35 hours", 36 * time.Hour: "2 days", 80 * time.Hour: "3 days",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
