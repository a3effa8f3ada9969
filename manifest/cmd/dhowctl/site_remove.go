package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/manifest/sign"
)

func (a *app) siteRemove() *cobra.Command {
	return a.command("remove NAME", "Take a site out of the fleet", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			return "Site " + args[0] + " removed. What it runs stays as it is; it is told nothing any more.", f.RemoveSite(args[0])
		})
	})
}
