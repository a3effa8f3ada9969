package update

import (
	"fmt"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
	"dhow/bundle/fetch"
)

// limits are what a site allows on its line.
type limits struct {
	quiet      site.Quiet
	day, month int64 // bytes, 0 for any number
	rate       int64 // bytes in a second, 0 for no limit
	zone       *time.Location
}

// hold is why nothing may be fetched from farther away than it says. It is an error, but no failure.
type hold struct {
	within fetch.Distance // what may still be used
	until  time.Time      // the zero time when no clock decides
	text   string
	said   *api.Said // text for other languages
	hint   string
}

func (h *hold) Error() string { return h.text }

// holds returns what keeps the site from its line, nil for nothing. With now a person has said that quiet hours don't count. While the clock
// is wrong nobody can tell them.
func (l limits) holds(at moment, t *Tally, now bool) *hold {
	if h := l.used(at, t); h != nil {
		return h
	}
	if end := l.quiet.Until(at.wall); !now && !at.wrong && !end.IsZero() {
		return &hold{
			within: fetch.LAN, until: end, text: "quiet hours until " + clockText(end, at.wall),
			said: api.Say("hold_quiet", "moment", plainMoment(end, at.wall)),
			hint: "dhow update --now fetches at once",
		}
	}
	return nil
}

// used is the hold of a budget that is used up.
func (l limits) used(at moment, t *Tally) *hold {
	y, m, d := at.wall.Date()
	h := &hold{within: fetch.LAN, hint: "a stick or the local network costs nothing: dhow update --from PATH"}
	known := ""
	switch {
	case l.month > 0 && t.Month.Bytes >= l.month:
		h.until, h.text, known = time.Date(y, m+1, 1, 0, 0, 0, 0, at.wall.Location()), ofText(t.Month.Bytes, l.month)+" used this month", t.Month.Name
		h.text += "; it goes on on " + h.until.Format("2 Jan")
		h.said = api.Say("hold_month", amounts(t.Month.Bytes, l.month, "day", h.until.Format(time.DateOnly))...)
		known += "-" + at.wall.Format("02")
	case l.day > 0 && t.Day.Bytes >= l.day:
		h.until, h.text, known = time.Date(y, m, d+1, 0, 0, 0, 0, at.wall.Location()), ofText(t.Day.Bytes, l.day)+" used today", t.Day.Name
		h.text += "; it goes on tomorrow"
		h.said = api.Say("hold_day", amounts(t.Day.Bytes, l.day)...)
	default:
		return nil
	}
	if at.wrong || known != at.wall.Format(time.DateOnly) { // the clock was set: what counts is the time that passes
		h.until = time.Time{}
		h.text = "the data budget is used up; it goes on when the clock is right, or when the computer has run for a day"
		h.said = api.Say("hold_clock_day")
		if l.month > 0 && t.Month.Bytes >= l.month {
			h.text = "the data budget of the month is used up; it goes on when the clock is right, or when the computer has run for a month"
			h.said = api.Say("hold_clock_month")
		}
	}
	return h
}

// forecast says in words how long bytes take from now on, at so many bytes in a second (0 when nobody knows), nothing when nothing is known.
func (l limits) forecast(at moment, t *Tally, bytes int64, speed float64, now bool) told {
	how, kind := "at the speed of the last days", "estimate_speed"
	if l.rate > 0 && (speed == 0 || speed > float64(l.rate)) {
		speed, how, kind = float64(l.rate), "at "+amountText(l.rate)+"/s", "estimate_rate"
	}
	if speed == 0 && l.day == 0 && l.month == 0 || bytes <= 0 {
		return told{}
	}
	quiet := l.quiet
	if now || at.wrong {
		quiet = nil
	}
	begin := at.wall
	if l.zone != nil {
		begin = begin.In(l.zone)
	}
	clock, left := begin, float64(bytes)
	day, month := budgetLeft(l.day, t.Day.Bytes), budgetLeft(l.month, t.Month.Bytes)
	waits := map[string]bool{}
	for left > 0 {
		if clock.Sub(begin) > 400*24*time.Hour {
			return told{"more than a year" + l.because(waits), api.Say("estimate_year")}
		}
		y, m, d := clock.Date()
		midnight := time.Date(y, m, d+1, 0, 0, 0, 0, clock.Location())
		if !midnight.After(clock) { // where clocks are changed at midnight
			midnight = clock.Add(time.Hour)
		}
		end := midnight
		if until := quiet.Until(clock); !until.IsZero() {
			waits["quiet"], end = true, until
		} else if month <= 0 || day <= 0 {
			waits["month"], waits["day"] = waits["month"] || month <= 0, waits["day"] || day <= 0
		} else {
			if next := quiet.Next(clock); !next.IsZero() && next.Before(end) {
				end = next
			}
			chunk := min(left, day, month)
			if speed > 0 {
				chunk = min(chunk, speed*end.Sub(clock).Seconds())
			}
			left, day, month = left-chunk, day-chunk, month-chunk
			if left < 1 {
				if speed > 0 {
					clock = clock.Add(time.Duration(chunk / speed * float64(time.Second)))
				}
				break
			}
			if speed > 0 && chunk < speed*end.Sub(clock).Seconds()-1 {
				continue // a budget is used up
			}
			if speed == 0 {
				continue
			}
		}
		if !end.Before(midnight) {
			day = budgetLeft(l.day, 0)
			if end.Month() != m {
				month = budgetLeft(l.month, 0)
			}
		}
		clock = end
	}
	if waits["day"] || waits["month"] {
		days := daysFrom(begin, clock)
		kind, budget := "estimate_day", l.day
		if waits["month"] {
			kind, budget = "estimate_month", l.month
		}
		return told{"about " + count(days, "day") + l.because(waits), taking(kind, time.Duration(days)*24*time.Hour, budget)}
	}
	if speed == 0 {
		return told{}
	}
	took := clock.Sub(begin)
	if waits["quiet"] {
		return told{"about " + roughly(took) + l.because(waits), taking("estimate_quiet", took, 0)}
	}
	return told{"about " + roughly(took) + " " + how, taking(kind, took, l.rate)}
}

// because names what makes a forecast long.
func (l limits) because(waits map[string]bool) string {
	switch {
	case waits["month"]:
		return " with " + amountText(l.month) + " a month"
	case waits["day"]:
		return " with " + amountText(l.day) + " a day"
	case waits["quiet"]:
		return " with the quiet hours"
	}
	return ""
}

// unbounded is more than anybody fetches.
const unbounded = 1e18

func budgetLeft(budget, used int64) float64 {
	if budget == 0 {
		return unbounded
	}
	return max(0, float64(budget-used))
}

// daysFrom counts the days from a to b, both included.
func daysFrom(a, b time.Time) int {
	y, m, d := a.Date()
	first := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	y, m, d = b.Date()
	return int(time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Sub(first)/(24*time.Hour)) + 1
}

// roughly says a duration as people do.
func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return "1 minute"
	case d < 10*time.Minute:
		return count(int(d.Round(time.Minute)/time.Minute), "minute")
	case d < 88*time.Minute:
		return count(int(d.Round(5*time.Minute)/time.Minute), "minute")
	case d < 36*time.Hour:
		return count(int(d.Round(time.Hour)/time.Hour), "hour")
	}
	return count(int(d.Round(24*time.Hour)/(24*time.Hour)), "day")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clockText says a moment: the hour, with its day when that is another.
func clockText(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	if t.Year() == now.Year() {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// amountText says bytes for people: in powers of ten, as budgets and rates are written, and as package words says them in other languages.
func amountText(n int64) string {
	number, unit := scaled(n, n)
	return number + " " + unit
}

// ofText says "12 of 50 MB".
func ofText(done, total int64) string {
	d, _ := scaled(done, total)
	t, unit := scaled(total, total)
	return d + " of " + t + " " + unit
}

// scaled returns n in the unit that fits like.
func scaled(n, like int64) (number, unit string) {
	f, units := 1.0, []string{"bytes", "kB", "MB", "GB", "TB"}
	i := 0
	for ; float64(like)/f >= 999.95 && i < len(units)-1; i++ {
		f *= 1000
	}
	v := float64(n) / f
	if i == 0 || float64(like)/f >= 9.95 {
		return fmt.Sprintf("%.0f", v), units[i]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0"), units[i]
}
