package update

import (
	"strings"
	"testing"
)

func TestTrimKeepsWhatWasTakenBack(t *testing.T) {
	entry := func(word string) Past {
		name, taken := strings.CutSuffix(word, "*")
		return Past{Good: Good{Release: name}, TakenBack: taken}
	}
	for _, tt := range []struct {
		past string
		keep int
		want string
	}{
		{"", 2, ""},
		{"1.2 1.1 1.0", 2, "1.2 1.1"},
		{"1.1 1.2* 1.1 1.0", 2, "1.1 1.2* 1.1"},
		{"3 2 1 1.2*", 2, "3 2 1.2*"},
		{"7* 6* 5* 4* 3* 2* 1", 1, "7* 6* 5* 4* 3* 1"},
	} {
		var past []Past
		for _, word := range strings.Fields(tt.past) {
			past = append(past, entry(word))
		}
		var got []string
		for _, p := range trim(past, tt.keep) {
			if p.TakenBack {
				p.Release += "*"
			}
			got = append(got, p.Release)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q keep %d: got %q, want %q", tt.past, tt.keep, s, tt.want)
		}
	}
}
