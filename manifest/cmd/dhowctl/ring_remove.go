package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) ringRemove() *cobra.Command {
	return a.command("remove NAME", "Remove a ring that has no sites", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		var sites []string
		for _, name := range sorted(r.Fleet().Fleet().Sites) {
			if r.Fleet().Fleet().Sites[name].Ring == args[0] {
				sites = append(sites, name)
			}
		}
		if len(sites) > 0 {
			return fail(api.CodeRefused, fmt.Sprintf("ring %s has %s: %s", args[0], count(len(sites), "site"), sitesText(sites)),
				"move them with dhowctl site set SITE --ring RING, or remove them first")
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			return "Ring " + args[0] + " removed.", f.RemoveRing(args[0])
		})
	})
}
