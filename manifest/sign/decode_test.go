package sign

import (
	"errors"
	"testing"
	"time"
)

func TestFleetFileRefuses(t *testing.T) {
	const head = "format: 1\nname: drc\n"
	for text, want := range map[string]string{
		head + "---\nname: other\n":                                                 "f:3:1: a second document begins here: fleet.yaml has one only, so take the line --- away",
		head + "policy: {fetch: \"@every 1s\"}\n":                                   `f:3:17: fetch: "@every 1s" comes round more than once a minute`,
		head + "policy: {fetch: \"@every 59s\"}\n":                                  `f:3:17: fetch: "@every 59s" comes round more than once a minute`,
		head + "policy: {contact: \"a\\e[2J\"}\n":                                   "f:3:19: contact: one line of at most 500 bytes is expected, without control characters",
		head + "rings: {r: {}}\nsites: {s: {ring: r, hold: {reason: \"a\\nb\"}}}\n": "f:4:37: reason: one line of at most 1000 bytes is expected, without control characters",
		"": "f: it is empty",
	} {
		_, err := parseFleetFile("f", []byte(text))
		var list Mistakes
		if !errors.As(err, &list) || list[0].String() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	for _, text := range []string{head + "---\n", head + "...\n---\n"} {
		if _, err := parseFleetFile("f", []byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{"---\n" + head, head + "...\n", head + "policy: {fetch: \"@every 1m\"}\n"} {
		if _, err := parseFleetFile("f", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestShortest(t *testing.T) {
	for schedule, want := range map[string]time.Duration{
		"@every 1s": time.Second, "* * * * *": time.Minute, "0,2 * * * *": 2 * time.Minute, "*/30 * * * *": 30 * time.Minute,
		"0 2 * * *": time.Hour, "0 0 30 2 *": time.Hour, "": time.Hour,
	} {
		if got := Shortest(schedule); got != want {
			t.Errorf("%q: %s, want %s", schedule, got, want)
		}
	}
}
