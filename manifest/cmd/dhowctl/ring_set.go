package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) ringSet() *cobra.Command {
	var settings []string
	c := a.command("set NAME", "Change the settings of a ring's sites", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		ring, ok := r.Fleet().Fleet().Rings[args[0]]
		if !ok {
			return fail(api.CodeUsage, "there is no ring "+args[0], "dhowctl ring list shows them")
		}
		set, err := settingsOf(settings, ring.Settings)
		if err != nil {
			return err
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			return "Ring " + args[0] + " changed.", f.SetRingSettings(args[0], set)
		})
	})
	c.Flags().StringArrayVar(&settings, "set", nil, "NAME=VALUE, a setting that is no secret; NAME= takes it away; may be given more than once")
	_ = c.MarkFlagRequired("set")
	return c
}
