package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
)

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 bytes"},
		{size(999), "999 bytes"},
		{size(1000), "1.0 kB"},
		{size(5_100_000), "5.1 MB"},
		{size(412_000_000), "412 MB"},
		{size(999_999_999), "1.0 GB"},
		{span(161 * time.Second), "2 min 41 s"},
		{span(41*time.Second + 400*time.Millisecond), "41 s"},
		{span(2*time.Hour + 5*time.Minute), "2 h 5 min"},
		{short(161 * time.Second), "2:41"},
		{short(7 * time.Second), "0:07"},
		{short(3661 * time.Second), "1:01:01"},
		{sentence("up to date"), "Up to date."},
		{sentence("étrange."), "Étrange."},
		{arrow("", "1.0.0"), "→ 1.0.0"},
		{arrow("1.0.0", "1.1.0"), "1.0.0 → 1.1.0"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Every step that there is has its words.
func TestEveryStepHasWords(t *testing.T) {
	table, err := os.ReadFile("../../update/table.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Name: "([a-z-]+)"`).FindAllStringSubmatch(string(table), -1)
	if len(names) < 15 {
		t.Fatalf("found only %d steps in the table", len(names))
	}
	for _, name := range names {
		if !english.Has("step." + name[1]) {
			t.Errorf("step %q has no words", name[1])
		}
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	p := &progress{out: &out, words: english, live: true, width: func() int { return 90 }, now: func() time.Time { return now }}
	draw := func(e api.Event) string {
		out.Reset()
		e.Change, e.Kind, e.StepNumber, e.StepCount = 17, "apply", 6, 11
		p.show(e)
		return out.String()
	}
	if got, want := draw(api.Event{Step: "back-up"}), "\r\x1b[K 6/11 keeping a safe copy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	draw(api.Event{Step: "back-up", Done: 0, Total: 1_900_000_000})
	now = now.Add(time.Minute)
	want := "\r\x1b[K 6/11 keeping a safe copy          █████████████░░░░░  1.4 of 1.9 GB  0:21"
	if got := draw(api.Event{Step: "back-up", Done: 1_400_000_000, Total: 1_900_000_000}); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// Another step begins its own count.
	if got := draw(api.Event{Step: "start-release", Done: 5, Total: 10}); !strings.HasSuffix(got, "5 of 10 bytes  ") {
		t.Errorf("got %q", got)
	}
	p.width = func() int { return 12 }
	if got, want := draw(api.Event{Step: "check-health"}), "\r\x1b[K 6/11 check"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	p.show(api.Event{Kind: "apply", Step: "back-up", Update: &api.Update{From: "1.0.0", To: "1.1.0", BytesFetched: 5_100_000}, End: true})
	if got, want := out.String(), "\r\x1b[K1.0.0 → 1.1.0   5.1 MB fetched\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		last   api.Event
		err    error
		result string
		code   int
	}{
		{api.Event{Update: &api.Update{Result: api.ResultDone}}, nil, "done", api.CodeOK},
		{api.Event{Message: "up to date"}, nil, "nothing", api.CodeOK},
		{api.Event{Update: &api.Update{Result: api.ResultRolledBack, Reason: "x"}}, nil, "rolled back", api.CodeRolledBack},
		{api.Event{Update: &api.Update{Result: api.ResultRefused}}, nil, "refused", api.CodeRefused},
		{api.Event{Error: &api.Error{Code: api.CodeNotTrusted, Message: "forged"}}, nil, "failed", api.CodeNotTrusted},
		{api.Event{Error: &api.Error{Code: api.CodeStuck}, Update: &api.Update{Result: ""}}, nil, "failed", api.CodeStuck},
		{api.Event{}, api.Fail(api.CodeNoAgent, "", "gone"), "failed", api.CodeNoAgent},
	} {
		o := outcomeOf(c.last, c.err)
		code := api.CodeOK
		if o.Error != nil {
			code = o.Error.Code
		}
		if o.Result != c.result || code != c.code || (o.Error != nil && o.Error.Message == "" && c.last.Error == nil) {
			t.Errorf("%+v, %v: %+v", c.last, c.err, o)
		}
	}
}
