package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRing fills a ring several times over, while its folder cannot be written too, and follows it.
func TestRing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "agent.log")
	r := &ring{path: path}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	moment := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	line := func(n int) string {
		return fmt.Sprintf("time=%s level=WARN msg=m n=%d fill=%s\n", moment.Add(time.Duration(n)*time.Second).Format(time.RFC3339Nano), n, strings.Repeat("x", 1000))
	}
	write := func(n int) {
		if k, err := r.Write([]byte(line(n))); err != nil || k != len(line(n)) {
			t.Fatal(k, err)
		}
	}
	const total = 10_000 // about 10 MiB
	for n := range total {
		write(n)
	}
	for _, p := range []string{path, older(path)} {
		if info, err := os.Stat(p); err != nil || info.Size() > maxRing || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	read := func(w wish) (list []entry) {
		t.Helper()
		if err := readRing(ctx, path, w, func(e entry) error { list = append(list, e); return nil }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := read(wish{lines: 3}); len(list) != 3 || !strings.HasPrefix(list[0].Text, "msg=m n=9997 ") || list[0].Level != "warning" {
		t.Errorf("%d lines: %.80v", len(list), list)
	}
	all := read(wish{})
	if len(all) < 2000 || !all[len(all)-1].Time.Equal(moment.Add((total-1)*time.Second)) {
		t.Errorf("%d lines in all", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].Time.Sub(all[i-1].Time) != time.Second {
			t.Fatalf("a line is missing before %v", all[i])
		}
	}
	if list := read(wish{since: moment.Add((total - 5) * time.Second)}); len(list) != 5 {
		t.Errorf("%d lines since then", len(list))
	}
	// Whoever follows loses nothing when the files change places.
	next, enough := total, errors.New("enough")
	err := readRing(ctx, path, wish{lines: 1, follow: true}, func(e entry) error {
		want := fmt.Sprintf("n=%d ", next-1)
		if !strings.Contains(e.Text, want) {
			return fmt.Errorf("%.60q comes instead of %s", e.Text, want)
		}
		if next == total+2500 {
			return enough
		}
		write(next)
		next++
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	// A log that can't be written stops nobody.
	broken := &ring{path: filepath.Join(path, "below", "a", "file")}
	if n, err := broken.Write([]byte("x\n")); n != 2 || err != nil {
		t.Error(n, err)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "3d": now.AddDate(0, 0, -3), "2026-11-20": time.Date(2026, 11, 20, 0, 0, 0, 0, time.Local),
		"2026-11-20 07:30": time.Date(2026, 11, 20, 7, 30, 0, 0, time.Local), "2026-11-20T07:30:00Z": time.Date(2026, 11, 20, 7, 30, 0, 0, time.UTC),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "-2h", "d", "-3d", "2026-13-01"} {
		if got, err := parseSince(text, now); err == nil || err.Error() != fmt.Sprintf("--since %q is no moment", text) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestJournalEntry(t *testing.T) {
	moment := time.UnixMicro(1_795_000_000_123_456).UTC()
	for line, want := range map[string]entry{
		`{"__REALTIME_TIMESTAMP":"1795000000123456","PRIORITY":"4","MESSAGE":"msg=slow"}`: {moment, "warning", "msg=slow"},
		`{"__REALTIME_TIMESTAMP":"x","PRIORITY":"3","MESSAGE":[104,105,255]}`:             {time.Time{}, "error", "hi?"},
		`{"MESSAGE":null}`: {time.Time{}, "info", ""},
		`no json`:          {Text: "no json"},
	} {
		if got := journalEntry([]byte(line)); got != want {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func FuzzLogLines(f *testing.F) {
	f.Add("time=2026-11-21T20:00:00Z level=INFO msg=x")
	f.Add(`{"__REALTIME_TIMESTAMP":"1795000000123456","PRIORITY":"4","MESSAGE":[1,2]}`)
	f.Add("time= level=")
	f.Fuzz(func(t *testing.T, line string) {
		for _, e := range []entry{ringEntry(line), journalEntry([]byte(line))} {
			if e.Time.IsZero() && len(e.Text) > 3*len(line)+8 {
				t.Errorf("%d bytes of %d", len(e.Text), len(line))
			}
		}
	})
}
