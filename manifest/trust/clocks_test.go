package trust_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// TestClocks gives a site that knows manifest 1 every sort of clock, and then news online and on a stick.
func TestClocks(t *testing.T) {
	f := newForge(t, "drc")
	one := f.next()
	f.made = start.AddDate(0, 0, 2)
	two := f.next()
	const expired, root = "the manifest expired on 2027-02-21: ask the central team for a newer one", "the fleet's root expired on 2027-11-21: ask the central team for a newer one"
	ahead := func(says string) string {
		return "this computer's clock looks wrong, unless nothing new has come since 2026-11-23: it says " + says
	}
	for _, c := range []struct {
		name     string
		now      time.Time
		online   string   // why an online source is refused
		warnings []string // once manifest 2 is here
	}{
		{"1970", time.Unix(0, 0), "", []string{"this computer's clock looks wrong: it says 1970-01-01, but it is at least 2026-11-23"}},
		{"2000", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), "", []string{"this computer's clock looks wrong: it says 2000-01-01, but it is at least 2026-11-23"}},
		{"a day before the floor", start.AddDate(0, 0, -1), "", []string{"this computer's clock looks wrong: it says 2026-11-20, but it is at least 2026-11-23"}},
		{"some minutes before what is signed", start.AddDate(0, 0, 2).Add(-30 * time.Minute), "", nil},
		{"right", start.AddDate(0, 0, 3), "", nil},
		{"three weeks before the expiry", start.AddDate(0, 2, 8), "", []string{"the manifest expires soon: on 2027-02-21, in 23 days: ask the central team for a newer one"}},
		{"the last days", start.AddDate(0, 2, 28), "", []string{"the manifest expires very soon: on 2027-02-21, in 3 days: ask the central team for a newer one"}},
		{
			"ten months ahead", start.AddDate(0, 10, 0),
			"the manifest expired on 2027-02-21; by this computer's clock it is 2027-09-21, by what was signed last at least 2026-11-21: if the clock is ahead, set it",
			[]string{ahead("2027-09-21"), expired, "the fleet's root expires on 2027-11-21, in 61 days: ask the central team for a newer one"},
		},
		{
			"two years ahead", start.AddDate(2, 0, 0),
			"the fleet's root expired on 2027-11-21; by this computer's clock it is 2028-11-21, by what was signed last at least 2026-11-21: if the clock is ahead, set it",
			[]string{ahead("2028-11-21"), expired, root},
		},
		{
			"the end of 32 bits", time.Unix(1<<31, 0),
			"the fleet's root expired on 2027-11-21; by this computer's clock it is 2038-01-19, by what was signed last at least 2026-11-21: if the clock is ahead, set it",
			[]string{ahead("2038-01-19"), expired, root},
		},
		{
			"the end of unsigned 32 bits", time.Unix(1<<32, 0),
			"the fleet's root expired on 2027-11-21; by this computer's clock it is 2106-02-07, by what was signed last at least 2026-11-21: if the clock is ahead, set it",
			[]string{ahead("2106-02-07"), expired, root},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, f.files["metadata/1.root.json"])
			s.must(one, false)
			s.now = c.now
			if c.online != "" {
				if err := s.fails(two, false); !errors.Is(err, trust.ErrExpired) || err.Error() != c.online {
					t.Errorf("online:\n got %v\nwant %s", err, c.online)
				}
				if n := s.number(); n != 1 {
					t.Errorf("manifest %d was taken from an online source", n)
				}
			} else if m := s.must(two, false); m.Number != 2 {
				t.Errorf("online: manifest %d", m.Number)
			}
			if m := s.must(two, true); m.Number != 2 || !slices.Equal(m.Warnings, c.warnings) {
				t.Errorf("stick: manifest %d\n got %q\nwant %q", m.Number, m.Warnings, c.warnings)
			}
			if err := s.fails(one, true); !errors.Is(err, trust.ErrStale) {
				t.Errorf("an older stick: %v", err)
			}
			if got, want := s.Clock().Floor, start.AddDate(0, 0, 2); !got.Equal(want) {
				t.Errorf("floor %s, want %s", got, want)
			}
			s.reopen()
			if got, want := s.Clock().Floor, start.AddDate(0, 0, 2); !got.Equal(want) {
				t.Errorf("after a restart: floor %s, want %s", got, want)
			}
		})
	}
}

// TestClockJumpsWhileASourceIsRead moves the clock at every document of a refresh.
func TestClockJumpsWhileASourceIsRead(t *testing.T) {
	f := newForge(t, "drc")
	one, two := f.next(), f.next()
	for _, to := range []time.Time{time.Unix(0, 0), start.AddDate(-20, 0, 0), start.AddDate(1, 0, 0), time.Unix(1<<31, 0)} {
		for _, offline := range []bool{false, true} {
			for n := 1; ; n++ {
				s := newSite(t, f.files["metadata/1.root.json"])
				s.must(one, false)
				left := n
				src := manifesttest.NewSource(two)
				src.Fail = func(string) error {
					if left--; left == 0 {
						s.now = to
					}
					_ = s.Clock() // a source may ask for the time while it is read
					return nil
				}
				m, err := s.Refresh(t.Context(), src, offline)
				if n == 1 && !offline && to.After(start) {
					// The workflow takes the time once, after the timestamp has come.
					if !errors.Is(err, trust.ErrExpired) || s.number() != 1 {
						t.Errorf("to %s before the beginning: %v", to, err)
					}
					continue
				}
				if err != nil || m.Number != 2 {
					t.Fatalf("to %s at document %d: %v", to, n, err)
				}
				if !s.Clock().Floor.Equal(start) {
					t.Errorf("to %s at document %d: floor %s", to, n, s.Clock().Floor)
				}
				if left > 0 {
					break
				}
			}
		}
	}
}

func TestDoubt(t *testing.T) {
	floor := start
	for _, c := range []struct {
		name     string
		now, say time.Time
		want     string
	}{
		{"agree", start.AddDate(0, 1, 0), start.AddDate(0, 1, 0).Add(time.Minute), ""},
		{"ahead", start.AddDate(1, 0, 0), start.AddDate(0, 0, 1), "this computer's clock looks wrong: it says 2027-11-21 12:00 UTC, and example.org says 2026-11-22 12:00 UTC"},
		{"behind by a day", start.AddDate(0, 0, 1), start.AddDate(0, 0, 2), "this computer's clock looks wrong: it says 2026-11-22 12:00 UTC, and example.org says 2026-11-23 12:00 UTC"},
		{"wrong for certain", start.AddDate(0, 0, -1), start, ""},
		{"the server is wrong for certain", start.AddDate(0, 0, 1), time.Unix(0, 0), ""},
	} {
		if got := (trust.Clock{Now: c.now, Floor: floor}).Doubt("example.org", c.say); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}
