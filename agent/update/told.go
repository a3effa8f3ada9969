package update

import (
	"strconv"
	"time"

	"dhow/agent/api"
)

// told is a sentence for people: as logs and scripts have it, and for other languages than English.
type told struct {
	text string
	said *api.Said
}

func (t told) parts() (text string, said *api.Said) { return t.text, t.said }

// sized are the arguments of a sentence that names a size.
func sized(name string, n int64, args ...string) []string {
	return append([]string{name, amountText(n), name + "_bytes", strconv.FormatInt(n, 10)}, args...)
}

// amounts are the arguments of a sentence that names what is used of a budget.
func amounts(used, budget int64, args ...string) []string {
	return sized("used", used, sized("budget", budget, args...)...)
}

// taking says how long something takes; bytes are those that the kind of the sentence names, if it does.
func taking(kind string, long time.Duration, bytes int64) *api.Said {
	return api.Say(kind, sized("size", bytes, "long", roughly(long), "long_seconds", strconv.FormatInt(int64(long/time.Second), 10))...)
}

// plainMoment says a moment in digits, which every language reads: the hour, with its day when that is another.
func plainMoment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// plainDate says a moment of this computer's time with its day.
func plainDate(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
