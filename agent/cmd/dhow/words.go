package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dhow/agent/api"
)

// steps are the plain words for every step of every change: what is done, and what undoing it means.
var steps = map[string]struct{ do, undo string }{
	"refresh-manifest": {"asking for news", ""},
	"plan":             {"looking at what is needed", ""},
	"fetch-blobs":      {"fetching", ""},
	"verify":           {"checking what was fetched", ""},

	"check-site":     {"checking this computer", ""},
	"load-images":    {"loading the programs", "removing what was loaded"},
	"stage-release":  {"preparing the release", "removing what was prepared"},
	"copy-ahead":     {"copying the data while people work", "removing the copies"},
	"close-doors":    {"stopping the system, users see the maintenance page", "starting the old release again"},
	"back-up":        {"keeping a safe copy", "removing the unfinished copy"},
	"arm-restore":    {"making sure that there is a way back", "putting the data back"},
	"return-data":    {"putting the earlier data back", ""},
	"start-release":  {"starting the release", "stopping the new release"},
	"check-health":   {"checking that it works", ""},
	"commit-release": {"keeping the release", ""},
	"open-doors":     {"letting the users in", ""},

	"fetch-copy":    {"fetching the backup", ""},
	"check-backup":  {"looking whether a backup can be made", ""},
	"make-backup":   {"copying the data into the archive", "removing the unfinished backup"},
	"tidy-backups":  {"removing old backups", ""},
	"verify-backup": {"reading every byte of the backup", ""},
	"delete-backup": {"deleting the backup", ""},
	"send-copy":     {"copying the backup out, encrypted", ""},
	"write-bundle":  {"writing the bundle", ""},
	"read-bundle":   {"reading the bundle back", ""},
	"try-restore":   {"restoring the backup beside the system", "removing the trial"},
	"try-check":     {"checking what was restored", ""},
	"try-end":       {"removing the trial", ""},

	"read-stack":   {"looking at what runs here", "forgetting what was seen"},
	"keep-images":  {"keeping the programs that run here", ""},
	"commit-adopt": {"taking it over", ""},
}

// stepWords says a step in plain words.
func stepWords(step string, undoing bool) string {
	w, ok := steps[step]
	switch {
	case !ok:
		return strings.ReplaceAll(step, "-", " ")
	case undoing && w.undo != "":
		return "going back: " + w.undo
	case undoing:
		return "going back"
	}
	return w.do
}

// size says bytes, for example "5.1 MB".
func size(n int64) string {
	number, unit := scaled(n, n)
	return number + " " + unit
}

// progressOf says "1.4 of 1.9 GB".
func progressOf(done, total int64) string {
	d, _ := scaled(done, total)
	t, unit := scaled(total, total)
	return d + " of " + t + " " + unit
}

// scaled returns n in the unit that fits like.
func scaled(n, like int64) (number, unit string) {
	f, units := 1.0, []string{"bytes", "kB", "MB", "GB", "TB"}
	i := 0
	for ; float64(like)/f >= 999.95 && i < len(units)-1; i++ {
		f *= 1000
	}
	v := float64(n) / f
	if i == 0 || float64(like)/f >= 99.95 {
		return fmt.Sprintf("%.0f", v), units[i]
	}
	return fmt.Sprintf("%.1f", v), units[i]
}

// span says a duration, for example "2 min 41 s".
func span(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// short says a duration as on a watch, for example "2:41".
func short(d time.Duration) string {
	d = d.Round(time.Second)
	if d >= time.Hour {
		return fmt.Sprintf("%d:%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60)
	}
	return fmt.Sprintf("%d:%02d", int(d/time.Minute), int(d/time.Second)%60)
}

// moment says a time as people do: the hour on the same day, the date otherwise.
func moment(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return dated(t, now)
}

// dated says a time with its day, and with its year when that is another.
func dated(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// day says a day, with its year when that is another.
func day(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() {
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

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

// stepOf says "6 of 11".
func stepOf(st api.Status) string { return fmt.Sprintf("%d of %d", st.StepNumber, st.StepCount) }
