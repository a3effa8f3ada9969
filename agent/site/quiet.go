package site

import (
	"slices"
	"strings"
	"time"

	"dhow/manifest"
)

// Quiet is the hours of the day in which nothing is fetched over a line. The zero Quiet has none.
type Quiet []Window

// ParseQuiet reads what manifest.ParseQuiet does, in the time zone with that IANA name, or in the computer's when the name is empty.
func ParseQuiet(s, zoneName string) (Quiet, error) {
	loc, err := zone(zoneName)
	if err != nil {
		return nil, err
	}
	ranges, err := manifest.ParseQuiet(s)
	var q Quiet
	for _, r := range ranges {
		q = append(q, Window{from: r.From, to: r.To, zone: loc})
	}
	return q, err
}

// Until returns when the quiet hours around t end, the zero time when t is not in quiet hours.
func (q Quiet) Until(t time.Time) (end time.Time) {
	for range 2 * len(q) { // one range may go on where another ends
		at := t
		if !end.IsZero() {
			at = end
		}
		i := slices.IndexFunc(q, func(w Window) bool { return w.Open(at) })
		if i < 0 {
			break
		}
		end = q[i].end(at)
	}
	return end
}

// Next returns when quiet hours begin after t, the zero time when there are none.
func (q Quiet) Next(t time.Time) (begin time.Time) {
	for _, w := range q {
		for day := 0; day <= 2; day++ {
			if start, _ := w.on(t, day); start.After(t) {
				if begin.IsZero() || start.Before(begin) {
					begin = start
				}
				break
			}
		}
	}
	return begin
}

// String returns the hours as they are written in the configuration.
func (q Quiet) String() string {
	var all []string
	for _, w := range q {
		all = append(all, w.String())
	}
	return strings.Join(all, ", ")
}

// end returns when the window around t closes.
func (w Window) end(t time.Time) (last time.Time) {
	for day := -1; day <= 0; day++ {
		if start, end := w.on(t, day); !t.Before(start) && t.Before(end) && end.After(last) {
			last = end
		}
	}
	return last
}
