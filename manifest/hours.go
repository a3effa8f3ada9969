package manifest

import (
	"fmt"
	"strings"
	"time"
)

// Hours is one range of the hours of a day, in minutes since midnight. To is later than From, and beyond 24:00 when the range spans midnight.
type Hours struct{ From, To int }

// Never stands in place of hours or a schedule for what is not to be.
const Never = "never"

// ParseQuiet reads the hours in which nothing is fetched over a line: "08:00-17:00", several ranges with commas between them. Never and the empty
// text mean none. Hours that fill the whole day are refused: nothing would ever come.
func ParseQuiet(s string) ([]Hours, error) {
	if s == "" || s == Never {
		return nil, nil
	}
	if len(s) > 200 {
		return nil, fmt.Errorf("quiet hours are longer than 200 bytes")
	}
	var all []Hours
	quiet := [24 * 60]bool{}
	for _, text := range strings.Split(s, ",") {
		a, b, ok := strings.Cut(strings.TrimSpace(text), "-")
		from, fromOK := minutes(a)
		to, toOK := minutes(b)
		if !ok || !fromOK || !toOK || from == 24*60 || from == to {
			return nil, fmt.Errorf("quiet hours %.80q are not understood: write them like 08:00-17:00, or 08:00-12:00, 13:00-17:00", s)
		}
		if to < from {
			to += 24 * 60
		}
		all = append(all, Hours{from, to})
		for i := from; i < to; i++ {
			quiet[i%len(quiet)] = true
		}
	}
	for _, q := range quiet {
		if !q {
			return all, nil
		}
	}
	return nil, fmt.Errorf("quiet hours %.80q fill the whole day: nothing would ever be fetched", s)
}

// minutes reads HH:MM up to 24:00 as minutes since midnight.
func minutes(s string) (int, bool) {
	s = strings.TrimSpace(s)
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil && len(s) == 5
}
