package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) historyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "history",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := s.client().History(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(list)
			}
			s.tellHistory(list, fault.Now())
			status, err := s.client().Status(cmd.Context())
			if err == nil && status.Paused != nil {
				s.sayln("cli.paused", "paused", s.pauseText(status.Paused, fault.Now()))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}

func (s *shell) tellHistory(list []api.Update, now time.Time) {
	if len(list) == 0 {
		s.sayln("cli.no_updates")
		return
	}
	var rows [][]string
	for _, u := range list {
		rows = append(rows, []string{fmt.Sprintf("%04d", u.ID), s.date(u.Started, now), s.arrowOf(u), s.resultOf(u), s.details(u)})
	}
	s.columns(rows)
}

func (s *shell) resultOf(u api.Update) string {
	switch {
	case u.Result == "":
		return s.say("cli.result.under_way")
	case u.Result == api.ResultDone && u.Kind == "rollback":
		return s.say("cli.result.went_back")
	case u.Result == api.ResultDone && u.Kind == "adopt":
		return s.say("cli.result.taken_over")
	}
	return s.result(u.Result)
}

func (s *shell) details(u api.Update) string {
	if u.Reason != "" {
		return s.say("cli.reason", "reason", u.Reason)
	}
	var parts []string
	if u.DowntimeSeconds > 0 {
		parts = append(parts, s.say("cli.away", "span", short(time.Duration(u.DowntimeSeconds*float64(time.Second)))))
	}
	if u.BytesFetched > 0 {
		parts = append(parts, s.words.Size(u.BytesFetched))
	}
	switch n := len(u.Setbacks); n {
	case 0:
	case 1:
		parts = append(parts, u.Setbacks[0])
	default:
		parts = append(parts, s.say("cli.more_like_it", "first", u.Setbacks[0], "n", n-1))
	}
	return s.words.List(parts)
}
