package manifest

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"pin", "", 3},
		{"", "pin", 3},
		{"pin", "pin", 0},
		{"pni", "pin", 2},
		{"rng", "ring", 1},
		{"kitten", "sitting", 3},
		{strings.Repeat("a", 65), "a", 64},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%.10q %.10q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
