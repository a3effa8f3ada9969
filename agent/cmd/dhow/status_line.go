package main

import (
	"time"

	"dhow/agent/api"
)

// tellLine says what is fetched or waits, what the line has carried, and whether a person has paused it.
func (s *shell) tellLine(st api.Status, now time.Time) {
	if f := st.Fetch; f != nil {
		s.printf("%s\n", s.fetchText(f))
	}
	if u := st.Line; u != nil {
		s.sayln("cli.line", "use", s.lineText(u))
	}
	if st.Paused != nil {
		s.sayln("cli.paused_ends", "paused", s.pauseText(st.Paused, now), "command", s.command("resume"))
	}
}

// fetchText says "1.1.0: 12.4 of 34.0 MB, 22 kB/s, 16 minutes left", or why it waits.
func (s *shell) fetchText(f *api.Fetching) string {
	text := s.words.Colon(f.Release, s.words.Of(f.Done, f.Total))
	if f.Waits != "" {
		text = s.say("cli.fetch_waits", "release", f.Release, "amount", s.words.Of(f.Done, f.Total), "why", s.message(f.Waits, f.WaitsSaid))
	}
	if f.Speed > 0 && f.Waits == "" {
		parts := []string{text, s.say("cli.speed", "size", s.words.Size(f.Speed))}
		if f.SecondsLeft > 0 {
			parts = append(parts, s.say("cli.left", "span", s.words.Span(time.Duration(f.SecondsLeft*float64(time.Second)))))
		}
		text = s.words.List(parts)
	} else if f.Estimate != "" {
		text = s.say("unit.also", "first", text, "then", s.say("cli.to_go", "estimate", s.message(f.Estimate, f.EstimateSaid)))
	}
	return text
}

// lineText says "12.0 of 50.0 MB used today, 0.3 of 1.0 GB this month".
func (s *shell) lineText(u *api.LineUse) string {
	if u.Next != "" {
		return s.message(u.Next, u.NextSaid)
	}
	day, month := s.words.Of(u.Day, u.DayBudget), s.words.Of(u.Month, u.MonthBudget)
	switch {
	case u.MonthBudget == 0:
		return s.say("cli.used_today", "amount", day)
	case u.DayBudget == 0:
		return s.say("cli.used_month", "amount", month)
	}
	return s.say("cli.used_both", "day", day, "month", month)
}
