package update

import (
	"time"
)

// factLine holds a Tally.
const factLine = "line"

// Tally is what has crossed the line in the present day and month of the site, and how fast. A clock that jumps gives no fresh budget: what was
// counted goes along ahead and back, over a restart, too, where a computer that was off can't be told from a clock that was set by less than
// longestOff. A clock that went ahead a little and back goes on with the later day until that has passed, or until the agent has run for
// longer than a day lasts, whatever the clock says; the same goes for months.
type Tally struct {
	Day    Period  `json:"day"`
	Month  Period  `json:"month"`
	Speeds []Speed `json:"speeds,omitempty"` // the newest last
	// Seen is the wall clock of the last look at which it was not certainly wrong.
	Seen time.Time `json:"seen,omitzero"`

	last moment
}

// Period is a day or a month.
type Period struct {
	Name  string        `json:"name,omitempty"` // 2026-11-21 or 2026-11, empty when no clock could tell
	Bytes int64         `json:"bytes"`
	Ran   time.Duration `json:"ran,omitempty"` // for how long the agent has run in it
}

// moment is a look at both clocks.
type moment struct {
	wall  time.Time     // in the time zone of the site
	wrong bool          // the wall clock is certainly wrong
	up    time.Duration // since this process began
}

const (
	longestDay   = 26 * time.Hour
	longestMonth = 32 * 24 * time.Hour
	// longestSleep is the most by which the wall clock may run ahead of the other one while a computer sleeps. More is a clock that was set,
	// and what was counted goes along.
	longestSleep = 36 * time.Hour
	// longestOff is the same for a computer that was off.
	longestOff = 35 * 24 * time.Hour
)

// look counts bytes that have crossed the line since the last look. It reports whether a period has begun.
func (t *Tally) look(at moment, bytes int64) (begun bool) {
	ran, jumped := time.Duration(0), false
	switch {
	case at.wrong:
	case t.last.wall.IsZero():
		jumped = !t.Seen.IsZero() && at.wall.Sub(t.Seen) > longestOff
	case !t.last.wrong:
		jumped = at.wall.Sub(t.last.wall)-(at.up-t.last.up) > longestSleep
	}
	if !t.last.wall.IsZero() {
		ran = max(0, at.up-t.last.up)
	}
	t.last = at
	day, month, latest := "", "", time.Time{}
	if !at.wrong {
		day, month = at.wall.Format(time.DateOnly), at.wall.Format("2006-01")
		t.Seen, latest = at.wall, at.wall.Add(longestOff)
	}
	a := t.Day.goOn(day, latest.Format(time.DateOnly), jumped, ran, longestDay)
	b := t.Month.goOn(month, latest.Format("2006-01"), jumped, ran, longestMonth)
	t.Day.Bytes += bytes
	t.Month.Bytes += bytes
	return a || b
}

// goOn takes a period to the present, which has a name unless the clock is wrong. One later than latest was named by a clock that was wrong.
func (p *Period) goOn(name, latest string, jumped bool, ran, longest time.Duration) (begun bool) {
	p.Ran += ran
	switch {
	case p.Ran > longest || name > p.Name && !jumped:
		if name == "" {
			name = p.Name
		}
		*p = Period{Name: name}
		return true
	case name > p.Name, name != "" && p.Name > latest:
		p.Name = name
	}
	return false
}

// Speed is what came over the line on one day, and in how much time.
type Speed struct {
	Day     string  `json:"day,omitempty"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"` // in which bytes were on their way
}

const (
	keptSpeeds = 14
	// leastSpeed is how many bytes say something of a line.
	leastSpeed = 256 << 10
)

// took adds bytes that took a while. Days are told apart, not ordered: clocks jump.
func (t *Tally) took(bytes int64, d time.Duration) {
	n := len(t.Speeds)
	if n == 0 || t.Speeds[n-1].Day != t.Day.Name {
		t.Speeds = append(t.Speeds, Speed{Day: t.Day.Name})
		t.Speeds = t.Speeds[max(0, len(t.Speeds)-keptSpeeds):]
		n = len(t.Speeds)
	}
	t.Speeds[n-1].Bytes += bytes
	t.Speeds[n-1].Seconds += d.Seconds()
}

// speed is how many bytes come in a second, 0 when nothing is known. Each day counts half as much as the one after it.
func (t *Tally) speed() float64 {
	var bytes, seconds, all float64
	for _, s := range t.Speeds {
		bytes, seconds, all = bytes/2+float64(s.Bytes), seconds/2+s.Seconds, all+float64(s.Bytes)
	}
	if all < leastSpeed || seconds <= 0 {
		return 0
	}
	return bytes / seconds
}
