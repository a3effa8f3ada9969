package words

import (
	"strconv"
	"strings"
	"time"
)

const (
	morning = 6  // the night ends
	evening = 18 // and begins
)

// Moment says t as one speaks of it at now, in the time zone of now: "tonight at 21:00", "tomorrow at 06:30", "2 hours ago", "this night at 02:10". It is fit for
// the middle of a sentence.
func (r *Reader) Moment(t, now time.Time) string {
	t = t.In(now.Location())
	hour := t.Format("15:04")
	ago := now.Sub(t)
	days := daysBetween(now, t)
	switch {
	case ago >= 0 && ago < time.Minute:
		return r.Say("time.just_now")
	case ago >= 0 && ago < time.Hour:
		return r.Count("time.minutes_ago", int(ago/time.Minute))
	case ago >= 0 && days == 0 && t.Hour() < morning && now.Hour() >= morning:
		return r.Say("time.this_night", "hour", hour)
	case ago >= 0 && ago < 12*time.Hour:
		return r.Count("time.hours_ago", int(ago/time.Hour))
	case days == 0 && t.Hour() >= evening && ago < 0:
		return r.Say("time.tonight", "hour", hour)
	case days == 1 && t.Hour() < morning && now.Hour() >= morning:
		return r.Say("time.after_midnight", "hour", hour) // which few languages call this evening
	case days == 0:
		return r.Say("time.today", "hour", hour)
	case days == 1:
		return r.Say("time.tomorrow", "hour", hour)
	case days == -1:
		return r.Say("time.yesterday", "hour", hour)
	}
	return r.Say("time.on_day", "day", r.Day(t, now), "hour", hour)
}

// daysBetween counts the midnights from now until t; none is 0, and those that have passed count down.
func daysBetween(now, t time.Time) int {
	midnight := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	return int(midnight(t).Sub(midnight(now)) / (24 * time.Hour))
}

// Clock says a time in a table: the hour on the same day ("15:04"), else as Date.
func (r *Reader) Clock(t, now time.Time) string {
	t = t.In(now.Location())
	if daysBetween(now, t) == 0 {
		return t.Format("15:04")
	}
	return r.Date(t, now)
}

// Date says a time with its day, for example "2 Jan 15:04", and with its year when that is not the year of now.
func (r *Reader) Date(t, now time.Time) string {
	return r.Day(t, now) + " " + t.In(now.Location()).Format("15:04")
}

// DateAndYear says a date as it stands on paper, for example "2 Jan 2026 15:04".
func (r *Reader) DateAndYear(t, now time.Time) string {
	t = t.In(now.Location())
	return r.day(t) + t.Format(" 2006 15:04")
}

// Day says a day, for example "2 Jan", with its year when that is not the year of now.
func (r *Reader) Day(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Year() != now.Year() {
		return r.day(t) + t.Format(" 2006")
	}
	return r.day(t)
}

func (r *Reader) day(t time.Time) string {
	return strconv.Itoa(t.Day()) + " " + strings.Fields(r.Say("time.months"))[int(t.Month())-1]
}
