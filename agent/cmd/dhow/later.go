package main

import (
	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) laterCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "later",
		Long: "help.long.later",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := s.client().Later(cmd.Context(), api.LaterRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(p)
			}
			if p.NextApply != nil {
				s.sayln("cli.later_comes", "day", s.date(*p.NextApply, fault.Now()))
			} else {
				s.sayln("cli.later_not_before", "day", s.date(p.Later, fault.Now()))
			}
			s.sayln("cli.later_now", "command", s.command("update --now"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}
