package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/manifest"
)

func (a *app) releaseHold() *cobra.Command {
	var ring string
	c := a.command("release-hold SITE | --ring RING", "Let a held site, or every held site of a ring, move again", cobra.MaximumNArgs(1),
		func(_ context.Context, args []string) error {
			nothing := ""
			if len(args) > 0 {
				nothing = "site " + args[0] + " is not held"
			}
			return a.editSites(args, ring, func(s *manifest.Site) bool {
				held := s.Hold != nil
				s.Hold = nil
				return held
			}, "free to move from the next publish on", nothing)
		})
	c.Flags().StringVar(&ring, "ring", "", "every held site of this ring")
	return c
}
