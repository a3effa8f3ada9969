package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

func (a *app) ringAdd() *cobra.Command {
	var pin string
	c := a.command("add NAME", "Add a ring", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		name := args[0]
		if _, ok := r.Fleet().Fleet().Rings[name]; ok {
			return fail(api.CodeUsage, "there is a ring "+name+" already", "dhowctl pin VERSION --ring "+name+" changes what it runs")
		}
		version, err := known(r, pin)
		if err != nil {
			return err
		}
		if err := r.Fleet().SetRing(name, version); err != nil {
			return err
		}
		if err := r.SaveFleet(); err != nil {
			return err
		}
		if version == "" {
			a.printf("Ring %s added; nothing is pinned yet.\n", name)
			return nil
		}
		a.printf("Ring %s added, pinned to %s.\n", name, version)
		return nil
	})
	c.Flags().StringVar(&pin, "pin", "", "the release that its sites run")
	return c
}
