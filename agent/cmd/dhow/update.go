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
		Use: "update",
		Long: "Asks the sources for news, fetches what is missing, and puts it in place in the window of this site, or at once with --now.\n" +
			"With --from a stick or folder is used, and no network. With --now quiet hours don't count either; a data budget always does.",
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
	cmd.Flags().StringVar(&from, "from", "", "a bundle, or a folder such as a stick's, to take everything from")
	cmd.Flags().BoolVar(&now, "now", false, "do not wait for the window, nor for the end of quiet hours")
	cmd.Flags().BoolVar(&retry, "retry", false, "try a release again that did not work here, or that somebody left by hand, and deltas that did not fit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object at the end")
	return cmd
}
