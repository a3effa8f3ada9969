package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) siteAdd() *cobra.Command {
	var s manifest.Site
	var settings []string
	c := a.command("add NAME --ring RING", "Add a site", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		name, fleet := args[0], r.Fleet().Fleet()
		if _, ok := fleet.Sites[name]; ok {
			return fail(api.CodeUsage, "there is a site "+name+" already", "dhowctl site set "+name+" changes it")
		}
		if _, ok := fleet.Rings[s.Ring]; !ok {
			return fail(api.CodeUsage, "there is no ring "+s.Ring, "add it: dhowctl ring add "+s.Ring)
		}
		if err := mayPin(r, s.Pin); err != nil {
			return err
		}
		if s.Settings, err = settingsOf(settings, nil); err != nil {
			return err
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			return "Site " + name + " added to ring " + s.Ring + ".", f.SetSite(name, s)
		})
	})
	c.Flags().StringVar(&s.Ring, "ring", "", "the ring that it belongs to")
	c.Flags().StringVar(&s.Pin, "pin", "", "a release of its own: a version or a line such as 1.2.x")
	c.Flags().StringArrayVar(&settings, "set", nil, "NAME=VALUE, a setting of this site that is no secret; may be given more than once")
	_ = c.MarkFlagRequired("ring")
	return c
}
