package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) hold() *cobra.Command {
	var ring, reason string
	c := a.command("hold SITE | --ring RING --reason TEXT", "Freeze a site, or every site of a ring, on what it runs", cobra.MaximumNArgs(1),
		func(_ context.Context, args []string) error {
			h := &manifest.Hold{Reason: reason, Since: a.now().UTC().Truncate(time.Second)}
			return a.editSites(args, ring, func(s *manifest.Site) bool {
				if s.Hold != nil && len(args) == 0 {
					return false // held for another reason already
				}
				s.Hold = h
				return true
			}, "held from the next publish on: "+reason, "")
		})
	c.Flags().StringVar(&ring, "ring", "", "every site of this ring")
	c.Flags().StringVar(&reason, "reason", "", "why, for the people who will wonder")
	_ = c.MarkFlagRequired("reason")
	return c
}

// editSites changes one site, or those of a ring, where change reports true, and says what they are from then on. It fails with nothing when
// change takes none.
func (a *app) editSites(args []string, ring string, change func(*manifest.Site) bool, are, nothing string) error {
	if (len(args) == 0) == (ring == "") {
		return fail(api.CodeUsage, "say one of a site and --ring RING", "")
	}
	r, err := a.repository()
	if err != nil {
		return err
	}
	fleet := r.Fleet().Fleet()
	changed, what := map[string]manifest.Site{}, ""
	if ring == "" {
		site, ok := fleet.Sites[args[0]]
		if !ok {
			return fail(api.CodeUsage, "there is no site "+args[0], "dhowctl site list shows them")
		}
		what = "Site " + args[0] + " is "
		if change(&site) {
			changed[args[0]] = site
		}
	} else {
		if _, ok := fleet.Rings[ring]; !ok {
			return fail(api.CodeUsage, "there is no ring "+ring, "dhowctl ring list shows them")
		}
		for name, site := range fleet.Sites {
			if site.Ring == ring && change(&site) {
				changed[name] = site
			}
		}
		what = fmt.Sprintf("%s of ring %s: ", count(len(changed), "site"), ring)
	}
	if len(changed) == 0 {
		if ring != "" {
			nothing = "ring " + ring + " has no such site"
		}
		return fail(api.CodeUsage, nothing, "dhowctl site list shows them")
	}
	return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
		return what + are + ".", f.SetSites(changed)
	})
}
