package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dhow/agent/words"
)

// english says what stands in the English text of errors.
var english = words.For("en")

// size says bytes in English, for example "5.1 MB".
func size(n int64) string { return english.Size(n) }

// span says a duration in English, for example "2 min 41 s".
func span(d time.Duration) string { return english.Span(d) }

// short says a duration as on a watch, for example "2:41".
func short(d time.Duration) string {
	d = d.Round(time.Second)
	if d >= time.Hour {
		return fmt.Sprintf("%d:%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60)
	}
	return fmt.Sprintf("%d:%02d", int(d/time.Minute), int(d/time.Second)%60)
}

// clock says a time: the hour on the same day, the date otherwise. It is this computer's time.
func (s *shell) clock(t, now time.Time) string { return s.words.Clock(t, now.Local()) }

// date says a time with its day, and with its year when that is another.
func (s *shell) date(t, now time.Time) string { return s.words.Date(t, now.Local()) }

// day says a day, with its year when that is another.
func (s *shell) day(t, now time.Time) string { return s.words.Day(t, now.Local()) }

// column prints a line that begins with a word of the column at the left.
func (s *shell) column(label, text string) { s.printf("%s %s\n", pad(label, 9), text) }

// sentence gives s a capital letter and a full stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// arrow says where a change goes: "1.0.0 → 1.1.0", or "→ 1.0.0" for a first release.
func arrow(from, to string) string {
	return strings.TrimPrefix(from+" → "+to, " ")
}
