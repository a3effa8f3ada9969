package database

import "testing"

// TestJavaHash compares with what Java computes.
func TestJavaHash(t *testing.T) {
	for text, want := range map[string]int32{"": 0, "a": 97, "hello": 99162322, "Flyway": 2107503036, "Zoë": 90166} {
		if got := javaHash(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if flywayMagic != 77431708279161 {
		t.Errorf("%d", int64(flywayMagic))
	}
}
