package main

import (
	"time"

	"dhow/agent/api"
)

// tellLine says what is fetched or waits, what the line has carried, and whether a person has paused it.
func (s *shell) tellLine(st api.Status, now time.Time) {
	if f := st.Fetch; f != nil {
		s.printf("%s\n", fetchText(f))
	}
	if u := st.Line; u != nil {
		s.printf("data: %s\n", lineText(u))
	}
	if st.Paused != nil {
		s.printf("%s: nothing is fetched; it ends with: %s\n", pauseText(st.Paused, now), s.command("resume"))
	}
}

// fetchText says "1.1.0: 12.4 of 34.0 MB, 22 kB/s, 16 minutes left", or why it waits.
func fetchText(f *api.Fetching) string {
	text := f.Release + ": " + progressOf(f.Done, f.Total)
	if f.Waits != "" {
		text += " are here; " + f.Waits
	}
	if f.Speed > 0 && f.Waits == "" {
		text += ", " + size(f.Speed) + "/s"
		if f.SecondsLeft > 0 {
			text += ", " + span(time.Duration(f.SecondsLeft*float64(time.Second))) + " left"
		}
	} else if f.Estimate != "" {
		text += "; " + f.Estimate + " to go"
	}
	return text
}

// lineText says "12.0 of 50.0 MB used today, 0.3 of 1.0 GB this month".
func lineText(u *api.LineUse) string {
	if u.Next != "" {
		return u.Next
	}
	switch {
	case u.MonthBudget == 0:
		return progressOf(u.Day, u.DayBudget) + " used today"
	case u.DayBudget == 0:
		return progressOf(u.Month, u.MonthBudget) + " used this month"
	}
	return progressOf(u.Day, u.DayBudget) + " used today, " + progressOf(u.Month, u.MonthBudget) + " this month"
}
