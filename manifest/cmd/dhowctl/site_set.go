package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) siteSet() *cobra.Command {
	var ring string
	var settings []string
	c := a.command("set NAME", "Move a site to another ring, or change its settings", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		name, fleet := args[0], r.Fleet().Fleet()
		s, ok := fleet.Sites[name]
		if !ok {
			return fail(api.CodeUsage, "there is no site "+name, "dhowctl site list shows them")
		}
		if ring != "" {
			if _, ok := fleet.Rings[ring]; !ok {
				return fail(api.CodeUsage, "there is no ring "+ring, "add it: dhowctl ring add "+ring)
			}
			s.Ring = ring
		}
		if s.Settings, err = settingsOf(settings, s.Settings); err != nil {
			return err
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			return "Site " + name + " changed.", f.SetSite(name, s)
		})
	})
	c.Flags().StringVar(&ring, "ring", "", "the ring that it belongs to from now on")
	c.Flags().StringArrayVar(&settings, "set", nil, "NAME=VALUE, a setting that is no secret; NAME= takes it away; may be given more than once")
	c.MarkFlagsOneRequired("ring", "set")
	return c
}
