package main

import (
	"github.com/spf13/cobra"
)

func (s *shell) resumeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "resume",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := s.client().Resume(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return s.json(p)
			case p.Ended == nil:
				s.sayln("cli.not_paused")
			default:
				s.sayln("cli.resumed")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}
