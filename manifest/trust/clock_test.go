package trust

import (
	"testing"
	"time"
)

func TestExpiryWarning(t *testing.T) {
	at := time.Date(2027, 2, 19, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		left         time.Duration
		root, timely string
	}{
		{91 * day, "", ""},
		{90*day + time.Second, "", ""},
		{90 * day, "X expires on 2027-02-19, in 90 days", ""},
		{30*day + time.Second, "X expires on 2027-02-19, in 30 days", ""},
		{30 * day, "X expires soon: on 2027-02-19, in 30 days", "X expires soon: on 2027-02-19, in 30 days"},
		{7*day + time.Second, "X expires soon: on 2027-02-19, in 7 days", "X expires soon: on 2027-02-19, in 7 days"},
		{7 * day, "X expires very soon: on 2027-02-19, in 7 days", "X expires very soon: on 2027-02-19, in 7 days"},
		{47 * time.Hour, "X expires very soon: on 2027-02-19, in 1 day", "X expires very soon: on 2027-02-19, in 1 day"},
		{time.Hour, "X expires very soon: on 2027-02-19, in less than a day", "X expires very soon: on 2027-02-19, in less than a day"},
		{0, "X expires very soon: on 2027-02-19, in less than a day", "X expires very soon: on 2027-02-19, in less than a day"},
		{-time.Second, "X expired on 2027-02-19", "X expired on 2027-02-19"},
		{-40000 * day, "X expired on 2027-02-19", "X expired on 2027-02-19"},
		{40000 * day, "", ""},
	} {
		if got := ExpiryWarning("X", at, at.Add(-c.left)); got != c.root {
			t.Errorf("%v left: %q, want %q", c.left, got, c.root)
		}
		if got := FreshnessWarning("X", at, at.Add(-c.left)); got != c.timely {
			t.Errorf("%v left of something short: %q, want %q", c.left, got, c.timely)
		}
	}
	// A moment 300 years away is more than a duration holds.
	if got := ExpiryWarning("X", at.AddDate(400, 0, 0), at); got != "" {
		t.Errorf("in 400 years: %q", got)
	}
	if got := ExpiryWarning("X", at, at.AddDate(400, 0, 0)); got != "X expired on 2027-02-19" {
		t.Errorf("400 years ago: %q", got)
	}
}
