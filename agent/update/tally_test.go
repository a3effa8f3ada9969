package update

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clocks is a computer: what its wall clock says, and for how long it has run.
type clocks struct {
	wall  time.Time
	up    time.Duration
	wrong bool
}

func (c *clocks) pass(d time.Duration) { c.wall, c.up = c.wall.Add(d), c.up+d }

func (c *clocks) now() moment { return moment{wall: c.wall, up: c.up, wrong: c.wrong} }

func newClocks() *clocks { return &clocks{wall: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

// fresh is how many bytes of a budget of 50 a day come, as long as it lasts.
func (t *Tally) fresh(c *clocks) (bytes int64) {
	for {
		t.look(c.now(), 0)
		if t.Day.Bytes >= 50 {
			return bytes
		}
		t.look(c.now(), 10)
		bytes += 10
	}
}

// saved is a tally as the next process reads it.
func saved(t *testing.T, tally *Tally) *Tally {
	t.Helper()
	data, err := json.Marshal(tally)
	if err != nil {
		t.Fatal(err)
	}
	next := &Tally{}
	if err := json.Unmarshal(data, next); err != nil {
		t.Fatal(err)
	}
	return next
}

// TestBudgetsAndClocks: what comes at each step, with a budget of 50 a day.
func TestBudgetsAndClocks(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		name  string
		steps string // each word a step: what happens to the clocks, then what comes
		want  string
	}{
		{"days", "stay night night", "50 50 50"},
		{"an hour at a time", "stay 1h 1h 1h 9h 1h", "50 0 0 0 50 0"},
		{"back and forth by a day", "stay +24h -24h +24h -24h +24h", "50 50 0 0 0 0"},
		{"back and forth by a year", "stay +8760h -8760h +8760h -8760h", "50 0 0 0 0"},
		{"ever farther ahead, and back", "stay +2400h -2400h +4800h -4800h +9600h -9600h", "50 0 0 0 0 0 0"},
		{"back by years, and forth", "stay -50000h +50000h -50000h +50000h", "50 0 0 0 0"},
		{"wrong and right", "stay wrong right wrong right", "50 0 0 0 0"},
		{"restarts", "stay restart restart", "50 0 0"},
		{"restarts with another clock each time", "stay -50000h,restart +50000h,restart -50000h,restart +50000h,restart", "50 0 0 0 0"},
		{"a clock that was ahead does not block for ever", "stay +50000h,restart -50000h,restart 20h 7h", "50 0 0 50 0"},
		{"off and ahead by a year, again and again", "stay +8760h,restart -8760h,restart +8760h,restart -8760h,restart 12h", "50 0 0 0 0 50"},
		{"off over the holidays", "stay +500h,restart night", "50 50 50"},
		{"off and ahead by a week, again and again", "stay +168h,restart -168h,restart +168h,restart -168h,restart", "50 50 0 0 0"},
		{"a clock that stays wrong does not block for ever", "wrong 20h 7h 20h 7h", "50 0 50 0 50"},
		{"a clock that begins anew at each start does not block for ever", "wrong 8h,-8h,restart 8h,-8h,restart 8h,-8h,restart 8h,-8h,restart", "50 0 0 0 50"},
		{"asleep at night", "stay sleep sleep", "50 50 50"},
		{"asleep for a week, and the day after", "stay sleep,sleep,sleep,sleep 12h", "50 50 50"},
		{"a long day in autumn", "stay 25h 1h", "50 50 0"},
	} {
		c, tally := newClocks(), &Tally{}
		var got []string
		for _, step := range strings.Fields(test.steps) {
			for _, what := range strings.Split(step, ",") {
				switch what {
				case "stay":
				case "night":
					c.pass(day)
				case "wrong":
					c.wrong = true
				case "right":
					c.wrong = false
				case "restart":
					tally, c.up = saved(t, tally), 0
				case "sleep":
					c.wall = c.wall.Add(day)
					tally.look(c.now(), 0)
				default:
					d, err := time.ParseDuration(strings.TrimPrefix(what, "+"))
					if err != nil {
						t.Fatal(err)
					}
					if what[0] == '+' || what[0] == '-' {
						c.wall = c.wall.Add(d)
					} else {
						c.pass(d)
						tally.look(c.now(), 0)
					}
				}
			}
			got = append(got, strconv.FormatInt(tally.fresh(c), 10))
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: %s came %s, want %s", test.name, test.steps, s, test.want)
		}
	}
}

func TestMonths(t *testing.T) {
	c, tally := newClocks(), &Tally{}
	tally.look(c.now(), 100)
	c.pass(9 * 24 * time.Hour)
	tally.look(c.now(), 1)
	if tally.Month.Bytes != 101 || tally.Day.Bytes != 1 || tally.Month.Name != "2026-11" {
		t.Errorf("on 30 November: %+v", tally)
	}
	c.pass(24 * time.Hour)
	tally.look(c.now(), 2)
	if tally.Month.Bytes != 2 || tally.Month.Name != "2026-12" {
		t.Errorf("on 1 December: %+v", tally)
	}
	c.wall = c.wall.AddDate(-3, 0, 0)
	tally.look(c.now(), 3)
	if tally.Month.Bytes != 5 {
		t.Errorf("set back by years: %+v", tally)
	}
	for range 33 {
		c.pass(24 * time.Hour)
		tally.look(c.now(), 0)
	}
	if tally.Month.Bytes != 0 || tally.Month.Name != "2024-01" {
		t.Errorf("a month later: %+v", tally)
	}
}

// TestMonthThatWasAhead: a clock that was a year ahead over a restart neither gives a month nor takes one.
func TestMonthThatWasAhead(t *testing.T) {
	c, tally := newClocks(), &Tally{}
	tally.look(c.now(), 100)
	c.wall, c.up, tally = c.wall.AddDate(1, 0, 0), 0, saved(t, tally)
	tally.look(c.now(), 1)
	if tally.Month.Bytes != 101 || tally.Month.Name != "2027-11" {
		t.Errorf("a year ahead: %+v", tally)
	}
	c.wall, tally = c.wall.AddDate(-1, 0, 0), saved(t, tally)
	tally.look(c.now(), 1)
	if tally.Month.Bytes != 102 || tally.Month.Name != "2026-11" {
		t.Errorf("right again: %+v", tally)
	}
	c.wall, tally = c.wall.AddDate(0, 0, 10), saved(t, tally)
	tally.look(c.now(), 1)
	if tally.Month.Bytes != 1 || tally.Month.Name != "2026-12" {
		t.Errorf("on 1 December: %+v", tally)
	}
}

func TestSpeed(t *testing.T) {
	tally := &Tally{}
	if tally.speed() != 0 {
		t.Error("a speed from nothing")
	}
	tally.Day.Name = "a"
	tally.took(leastSpeed-1, time.Second)
	if tally.speed() != 0 {
		t.Error("a speed from very little")
	}
	tally.took(1_000_000-leastSpeed+1, 9*time.Second)
	if got := tally.speed(); got != 100_000 {
		t.Errorf("got %v", got)
	}
	// The newest days count most: 100 kB/s long ago, 20 kB/s now.
	for _, day := range []string{"b", "c", "d"} {
		tally.Day.Name = day
		tally.took(1_000_000, 50*time.Second)
	}
	if got := tally.speed(); math.Abs(got-21_126.76) > 1 {
		t.Errorf("got %v", got)
	}
	for i := range 40 {
		tally.Day.Name = string(rune('A' + i))
		tally.took(1, time.Second)
	}
	if len(tally.Speeds) != keptSpeeds {
		t.Errorf("%d days are kept", len(tally.Speeds))
	}
}

func TestGauge(t *testing.T) {
	var g gauge
	at := time.Unix(1000, 0)
	if g.speed(at) != 0 {
		t.Error("a speed from nothing")
	}
	for i := range 1000 {
		g.add(at, int64(i)*1000)
		at = at.Add(100 * time.Millisecond)
	}
	if got := g.speed(at); math.Abs(got-10_000) > 200 || len(g.seen) > 40 {
		t.Errorf("%v of %d readings", got, len(g.seen))
	}
	if got := g.speed(at.Add(time.Hour)); got > 100 {
		t.Errorf("silent for an hour: %v", got)
	}
	g.add(at, 5)
	if got := g.speed(at.Add(time.Minute)); got != 0 {
		t.Errorf("begun anew: %v", got)
	}
}
