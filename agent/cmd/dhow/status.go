package main

import (
	"strings"
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}

func (s *shell) tellStatus(st api.Status, now time.Time) {
	release := st.Release
	if release == "" {
		release = s.say("cli.nothing_installed")
	}
	line := st.Site + "   " + release
	if st.Pinned != "" {
		line += " " + s.say("cli.pinned", "release", st.Pinned)
	}
	if st.Health != "" {
		line += "   " + s.health(st.Health)
	}
	if st.LastBackup != nil {
		line += "   " + s.say("cli.last_backup", "moment", s.clock(*st.LastBackup, now))
		if d := st.LastDrill; d != nil && d.OK {
			line = s.words.List([]string{line, s.say("cli.tested", "day", s.day(d.When, now))})
		}
	}
	if st.NextCheck != nil {
		line += "   " + s.say("cli.next_check", "moment", s.clock(*st.NextCheck, now))
	}
	s.tellNeeds(st)
	s.printf("%s\n", line)

	if text := s.stateText(st); text != "" {
		s.printf("%s\n", text)
	}
	s.tellLine(st, now)
	s.tellOffers(st.Offers)
	s.tellAgent(st.Agent)
	if st.Note != "" && st.Pinned != st.Release {
		s.printf("%s\n", s.words.Colon(st.Pinned, st.Note))
	}
	if st.Hold != "" {
		s.sayln("cli.hold", "reason", st.Hold)
	}
	if u := st.LastUpdate; u != nil && u.Result != "" && u.Result != api.ResultDone {
		text := s.say("cli.last_update", "change", arrow(u.From, u.To), "result", s.result(u.Result), "reason", s.say("cli.reason", "reason", u.Reason))
		if u.Receipt != "" { // what to tell whoever helps
			text += " " + s.say("cli.with_code", "code", u.Receipt)
		}
		s.printf("%s\n", text)
	}
	if st.LastError != "" {
		s.sayln("cli.last_check", "cause", st.LastError)
	}
	for _, w := range st.Further() {
		s.sayln("cli.warning", "text", s.message(w.Text, w.Said))
	}
}

// tellNeeds says what a person must see to, each with what to do. That going back is stuck the state says, with the code.
func (s *shell) tellNeeds(st api.Status) {
	for _, n := range st.Needs {
		if n.Kind != api.NeedStuck && s.words.Has("need."+n.Kind) {
			s.printf("%s %s\n", s.words.Map("need."+n.Kind, n.Args), s.say(st.Do(n)))
		}
	}
}

// health says how the containers are.
func (s *shell) health(state string) string {
	if key := "cli.health." + state; s.words.Has(key) {
		return s.say(key)
	}
	return state
}

// result says how an update ended.
func (s *shell) result(result string) string {
	if key := "cli.result." + strings.ReplaceAll(result, " ", "_"); s.words.Has(key) {
		return s.say(key)
	}
	return result
}

func (s *shell) stateText(st api.Status) string {
	text := ""
	switch st.State {
	case api.StateFetching, api.StateUpdating, api.StateBundle, api.StateUndoing:
		text = s.say("cli.state." + st.State)
	case api.StateReady:
		return s.say("cli.ready", "command", "dhow update --now")
	case api.StateStuck:
		text = s.say("cli.state.stuck", "code", st.Code)
	}
	if text != "" && st.Step != "" && st.StepCount > 0 {
		undoing := st.State == api.StateUndoing || st.State == api.StateStuck
		text = s.say("cli.state_step", "state", text, "number", st.StepNumber, "count", st.StepCount, "step", s.words.Step(st.Step, undoing))
	}
	return text
}
