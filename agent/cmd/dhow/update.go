package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

func (s *shell) updateCommand() *cobra.Command {
	var from string
	var now, retry, asJSON bool
	cmd := &cobra.Command{
		Use:  "update",
		Long: "help.long.update",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from != "" && !strings.Contains(from, "://") {
				abs, err := filepath.Abs(from)
				if err != nil {
					return err
				}
				from = abs
			}
			return s.follow(cmd.Context(), asJSON, func(c *api.Client) (api.Started, error) {
				return c.Update(cmd.Context(), api.UpdateRequest{From: from, Now: now, Retry: retry})
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "help.flag.update.from")
	cmd.Flags().BoolVar(&now, "now", false, "help.flag.update.now")
	cmd.Flags().BoolVar(&retry, "retry", false, "help.flag.update.retry")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json_end")
	return cmd
}
