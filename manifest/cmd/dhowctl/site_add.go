package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
)

func (a *app) siteAdd() *cobra.Command {
	var s manifest.Site
	c := a.command("add NAME --ring RING", "Add a site", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		name, fleet := args[0], r.Fleet().Fleet()
		if _, ok := fleet.Sites[name]; ok {
			return fail(api.CodeUsage, "there is a site "+name+" already", "dhowctl pin VERSION --site "+name+" changes what it runs")
		}
		if _, ok := fleet.Rings[s.Ring]; !ok {
			return fail(api.CodeUsage, "there is no ring "+s.Ring, "add it: dhowctl ring add "+s.Ring)
		}
		if s.Pin, err = known(r, s.Pin); err != nil {
			return err
		}
		if err := r.Fleet().SetSite(name, s); err != nil {
			return err
		}
		if err := r.SaveFleet(); err != nil {
			return err
		}
		runs := s.Pin
		if runs == "" {
			runs = fleet.Rings[s.Ring].Pin
		}
		if runs == "" {
			a.printf("Site %s added to ring %s; nothing is pinned yet.\n", name, s.Ring)
			return nil
		}
		a.printf("Site %s added to ring %s; it will run %s.\n", name, s.Ring, runs)
		return nil
	})
	c.Flags().StringVar(&s.Ring, "ring", "", "the ring that it belongs to")
	c.Flags().StringVar(&s.Pin, "pin", "", "a release of its own")
	_ = c.MarkFlagRequired("ring")
	return c
}
