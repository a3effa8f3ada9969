package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

func (a *app) promote() *cobra.Command {
	var from, to string
	var allow bool
	c := a.command("promote VERSION --from RING --to RING", "Give a ring the release that another one runs already", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			r, err := a.repository()
			if err != nil {
				return err
			}
			release, err := r.Release(args[0])
			if err != nil {
				return err
			}
			signed, _, err := r.Signed()
			if err != nil {
				return err
			}
			if signed == nil {
				return fail(api.CodeRefused, "cannot promote "+release.Version+": nothing was published yet, so no ring has run it",
					"pin the first ring and publish: dhowctl pin "+release.Version+" --ring RING")
			}
			if from == to {
				return fail(api.CodeUsage, "ring "+from+" cannot be promoted to itself", "name another ring with --to; dhowctl ring list shows them")
			}
			fleet := r.Fleet().Fleet()
			for _, name := range []string{from, to} {
				if _, ok := fleet.Rings[name]; !ok {
					return fail(api.CodeUsage, "there is no ring "+name, "dhowctl ring list shows them")
				}
			}
			if is := signed.Rings[from].Pin; is != release.Version {
				return fail(api.CodeRefused, fmt.Sprintf("cannot promote %s from ring %s: it was signed for %s", release.Version, from, orNothing(is)),
					fmt.Sprintf("pin it there first and publish: dhowctl pin %s --ring %s", release.Version, from))
			}
			ran := 0
			for name := range signed.Sites {
				if as, err := signed.Assignment(name); err == nil && as.Ring == from && as.Pin == release.Version && as.Hold == nil {
					ran++
				}
			}
			if err := a.pinTo(r, release.Version, to, "", allow); err != nil {
				return err
			}
			if ran == 0 {
				a.printf("warning: no site of ring %s was told to run %s: nobody has tried it\n", from, release.Version)
			}
			return nil
		})
	c.Flags().StringVar(&from, "from", "", "the ring that runs it")
	c.Flags().StringVar(&to, "to", "", "the ring that is to run it")
	c.Flags().BoolVar(&allow, "allow-downgrade", false, "also to an older release, where the releases permit it")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	return c
}
