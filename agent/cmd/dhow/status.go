package main

import (
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "status",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := s.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(status)
			}
			s.tellStatus(status, fault.Now())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (s *shell) tellStatus(st api.Status, now time.Time) {
	release := st.Release
	if release == "" {
		release = "nothing installed yet"
	}
	line := st.Site + "   " + release
	if st.Pinned != "" {
		line += " (pinned " + st.Pinned + ")"
	}
	if st.Health != "" {
		line += "   " + st.Health
	}
	if st.LastBackup != nil {
		line += "   last backup " + moment(*st.LastBackup, now)
		if d := st.LastDrill; d != nil && d.OK {
			line += ", tested " + day(d.When, now)
		}
	}
	if st.NextCheck != nil {
		line += "   next check " + moment(*st.NextCheck, now)
	}
	s.printf("%s\n", line)

	if text := stateText(st); text != "" {
		s.printf("%s\n", text)
	}
	s.tellLine(st, now)
	s.tellOffers(st.Offers)
	if st.Note != "" && st.Pinned != st.Release {
		s.printf("%s: %s\n", st.Pinned, st.Note)
	}
	if st.Hold != "" {
		s.printf("on hold: %s\n", st.Hold)
	}
	if u := st.LastUpdate; u != nil && u.Result != "" && u.Result != api.ResultDone {
		s.printf("last update %s: %s, %s%s\n", arrow(u.From, u.To), u.Result, u.Reason, withCode(u))
	}
	if st.LastError != "" {
		s.printf("last check: %s\n", st.LastError)
	}
	for _, w := range st.Warnings {
		s.printf("warning: %s\n", w)
	}
}

// withCode is what to tell whoever helps.
func withCode(u *api.Update) string {
	if u.Receipt == "" {
		return ""
	}
	return " (code " + u.Receipt + ")"
}

func stateText(st api.Status) string {
	text := ""
	switch st.State {
	case api.StateFetching:
		text = "fetching"
	case api.StateReady:
		return "an update is ready; put it in place now with: dhow update --now"
	case api.StateUpdating:
		text = "updating"
	case api.StateBundle:
		text = "writing a bundle"
	case api.StateUndoing:
		text = "going back to the old release"
	case api.StateStuck:
		text = "STUCK: going back can't finish; it is tried again by itself, call for help and give the code " + st.Code
	}
	if text != "" && st.Step != "" && st.StepCount > 0 {
		text += ", step " + stepOf(st) + ": " + stepWords(st.Step, st.State == api.StateUndoing || st.State == api.StateStuck)
	}
	return text
}
