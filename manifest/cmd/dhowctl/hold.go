package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
)

func (a *app) hold() *cobra.Command {
	var reason string
	c := a.command("hold SITE --reason TEXT", "Freeze a site on what it runs", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			return a.editSite(args[0], func(s *manifest.Site) error {
				s.Hold = &manifest.Hold{Reason: reason, Since: a.now().UTC().Truncate(time.Second)}
				return nil
			}, "Site "+args[0]+" is held from the next publish on: "+reason+".\n")
		})
	c.Flags().StringVar(&reason, "reason", "", "why, for the people who will wonder")
	_ = c.MarkFlagRequired("reason")
	return c
}

// editSite changes one site in fleet.yaml and says done.
func (a *app) editSite(name string, change func(*manifest.Site) error, done string) error {
	r, err := a.repository()
	if err != nil {
		return err
	}
	site, ok := r.Fleet().Fleet().Sites[name]
	if !ok {
		return fail(api.CodeUsage, "there is no site "+name, "dhowctl site list shows them")
	}
	if err := change(&site); err != nil {
		return err
	}
	if err := r.Fleet().SetSite(name, site); err != nil {
		return usage(err)
	}
	if err := r.SaveFleet(); err != nil {
		return err
	}
	a.printf("%s", done)
	return nil
}
