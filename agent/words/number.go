package words

import (
	"strconv"
	"strings"
	"time"
)

// Size says bytes, for example "5.1 MB" or "5,1 Mo".
func (r *Reader) Size(n int64) string {
	number, unit := scaled(n, n)
	return r.unit(unit, number)
}

// Of says how much of a size there is, for example "1.4 of 1.9 GB".
func (r *Reader) Of(done, total int64) string {
	d, _ := scaled(done, total)
	t, unit := scaled(total, total)
	return r.unit(unit, r.Say("unit.of", "done", r.decimal(d), "total", r.decimal(t)))
}

func (r *Reader) unit(unit, number string) string { return r.Say("unit."+unit, "n", r.decimal(number)) }

// decimal writes a number as the language does.
func (r *Reader) decimal(number string) string {
	return strings.Replace(number, ".", r.Say("unit.decimal"), 1)
}

// scaled returns n in the unit that fits like.
func scaled(n, like int64) (number, unit string) {
	f, units := 1.0, []string{"bytes", "kb", "mb", "gb", "tb"}
	i := 0
	for ; float64(like)/f >= 999.95 && i < len(units)-1; i++ {
		f *= 1000
	}
	digits := 1
	if i == 0 || float64(like)/f >= 99.95 {
		digits = 0
	}
	return strconv.FormatFloat(float64(n)/f, 'f', digits, 64), units[i]
}

// Length says a length of time as people do who plan with it: "less than a minute", "about 3 minutes", "about 2 hours", "about 5 days". It is rounded up
// to minutes below two hours, and to the nearest above.
func (r *Reader) Length(d time.Duration) string {
	hours := int((d + time.Hour/2) / time.Hour)
	switch {
	case d < time.Minute:
		return r.Say("time.moment")
	case d <= 90*time.Minute:
		return r.Count("time.about_minutes", int((d+time.Minute-1)/time.Minute))
	case hours < 48:
		return r.Count("time.about_hours", hours)
	}
	return r.Count("time.about_days", (hours+12)/24)
}

// Span says a length of time to the second, for example "2 min 41 s".
func (r *Reader) Span(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d/time.Hour), int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case h > 0:
		return r.Say("time.span_hours", "hours", h, "minutes", m)
	case m > 0:
		return r.Say("time.span_minutes", "minutes", m, "seconds", s)
	}
	return r.Say("time.span_seconds", "seconds", s)
}
