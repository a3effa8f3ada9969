package main

import (
	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) laterCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "later",
		Long: "Nothing is put in place by itself before the first window of tomorrow, also when another release comes today. Fetching goes on.\n" +
			"It ends by itself, or with: dhow update --now",
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
				s.printf("Not today: the update comes on %s.\n", dated(*p.NextApply, fault.Now()))
			} else {
				s.printf("Not today: no update comes before %s.\n", dated(p.Later, fault.Now()))
			}
			s.printf("To have it now after all: %s\n", s.command("update --now"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
