package archive

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRetain(t *testing.T) {
	now := day
	// One letter for each backup, the newest first, a day apart: V is verified, - is not, X cannot be read, K is kept by the caller.
	for _, c := range []struct {
		name   string
		list   string
		policy Retention
		want   string // numbers of those to drop
	}{
		{"no bounds", "VVVV", Retention{}, ""},
		{"count", "VVVVV", Retention{Count: 3}, "4 3"},
		{"count of one", "VVV", Retention{Count: 1}, "2 1"},
		{"never the newest", "V", Retention{Count: 1, Age: time.Nanosecond, Space: 1, Used: 1000}, ""},
		{"nothing before the newest is verified", "-VVV", Retention{Count: 1, Age: time.Hour, Space: 1, Used: 1000}, ""},
		{"older ones need not be", "V---", Retention{Count: 2}, "3 2"},
		{"age", "VVVVV", Retention{Age: 60 * time.Hour}, "4 3"},
		{"age, a step counts half a day at most", "VVVVV", Retention{Age: 25 * time.Hour, Step: 12 * time.Hour}, "4 3"},
		{"age of all", "VVV", Retention{Age: time.Nanosecond}, "2 1"},
		{"kept by the caller", "VVKVK", Retention{Count: 1, Age: time.Nanosecond, Space: 1, Used: 1000}, "3 1"},
		{"space enough", "VVVV", Retention{Space: 400, Used: 400}, ""},
		{"one byte too much", "VVVV", Retention{Space: 400, Used: 401}, "3"},
		{"space for two", "VVVV", Retention{Space: 200, Used: 400}, "3 2"},
		{"space after age", "VVVV", Retention{Space: 200, Used: 400, Age: 60 * time.Hour}, "3 2"},
		{"space is never enough", "VVVV", Retention{Space: 1, Used: 400}, "3 2 1"},
		{"unreadable ones stay, and are not the newest", "XVVX-", Retention{Count: 1}, "4 2"},
		{"nothing to read", "XX", Retention{Count: 1}, ""},
		{"nothing", "", Retention{Count: 1}, ""},
	} {
		var list []Record
		for i, letter := range c.list {
			r := Record{Name: string(rune('0' + i)), Made: now.Add(-time.Duration(i) * 24 * time.Hour), Stored: 100}
			switch letter {
			case 'V', 'K':
				r.Verified = &Verified{When: now}
			case 'X':
				r.Problem = errors.New("damaged")
			}
			list = append(list, r)
		}
		keep := func(r Record) bool { return c.list[r.Name[0]-'0'] == 'K' }
		if got := strings.Join(Retain(list, c.policy, keep, now), " "); got != c.want {
			t.Errorf("%s: drops %q, want %q", c.name, got, c.want)
		}
	}
}
