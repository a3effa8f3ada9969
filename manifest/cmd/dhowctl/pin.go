package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) pin() *cobra.Command {
	var ring, site string
	var allow bool
	c := a.command("pin VERSION | LINE | previous --ring RING | --site SITE", "Say which release a ring or a site must run", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			r, err := a.repository()
			if err != nil {
				return err
			}
			return a.pinTo(r, args[0], ring, site, allow)
		})
	c.Long = "Pins a ring or a site to a version (1.2.0), to a line (1.2.x or 1.x: the newest release of it at each publish; pre-releases not), or to\n" +
		"\"previous\": what it was signed for before its present release.\n\n" +
		"A pin takes a site to an older release only with --allow-downgrade, and only where the newer releases say that the older one can run on\n" +
		"their data (rollback: keep). The data stay as they are. Otherwise the site stays where it is and says why; a person there can go back\n" +
		"with its data from before: dhow rollback."
	c.Flags().StringVar(&ring, "ring", "", "a ring")
	c.Flags().StringVar(&site, "site", "", "a single site")
	c.Flags().BoolVar(&allow, "allow-downgrade", false, "also to an older release, where the releases permit it")
	c.MarkFlagsOneRequired("ring", "site")
	c.MarkFlagsMutuallyExclusive("ring", "site")
	return c
}

// pinTo pins one of ring and site, and tells the effect.
func (a *app) pinTo(r *sign.Repository, pin, ring, site string, allow bool) error {
	exact, word, err := manifest.ParsePin(pin)
	if err != nil {
		return err
	}
	if exact != "" {
		if _, err := r.Release(exact); err != nil {
			return err
		}
	}
	what, was := "Ring "+ring, ""
	return a.apply(r, allow, false, func(f *sign.FleetFile) error {
		if site != "" {
			old := f.Fleet().Sites[site]
			what, was = "Site "+site, asked(old.Pin, old.Asked)
			return f.PinSite(site, pin)
		}
		old := f.Fleet().Rings[ring]
		was = asked(old.Pin, old.Asked)
		return f.PinRing(ring, pin)
	}, func(now *manifest.Fleet) string {
		done := what + " is pinned to " + exact + word
		if was != "nothing" && was != exact+word {
			done += " (was " + was + ")"
		}
		if word != "" {
			done += ", which is " + pinOf(now, ring, site)
		}
		return done + "."
	})
}

// pinOf is the exact pin of one of ring and site.
func pinOf(f *manifest.Fleet, ring, site string) string {
	if site != "" {
		return f.Sites[site].Pin
	}
	return f.Rings[ring].Pin
}

func (a *app) unpin() *cobra.Command {
	var site string
	c := a.command("unpin --site SITE", "Let a site run what its ring runs", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		if s, ok := r.Fleet().Fleet().Sites[site]; ok && s.Pin == "" && s.Asked == "" {
			return fail(api.CodeUsage, "site "+site+" has no pin of its own", "dhowctl site list shows them")
		}
		return a.edit(r, false, func(f *sign.FleetFile) (string, error) {
			ring := f.Fleet().Sites[site].Ring
			to := f.Fleet().Rings[ring]
			return "Site " + site + " runs what ring " + ring + " runs: " + asked(to.Pin, to.Asked) + ".", f.PinSite(site, "")
		})
	})
	c.Flags().StringVar(&site, "site", "", "the site")
	_ = c.MarkFlagRequired("site")
	return c
}
