package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
)

func (a *app) releaseHold() *cobra.Command {
	return a.command("release-hold SITE", "Let a held site move again", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		return a.editSite(args[0], func(s *manifest.Site) error {
			if s.Hold == nil {
				return fail(api.CodeUsage, "site "+args[0]+" is not held", "")
			}
			s.Hold = nil
			return nil
		}, "Site "+args[0]+" moves again from the next publish on.\n")
	})
}
