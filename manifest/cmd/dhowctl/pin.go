package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dhow/manifest"
	"dhow/manifest/sign"
)

func (a *app) pin() *cobra.Command {
	var ring, site string
	c := a.command("pin VERSION --ring RING | --site SITE", "Say which release a ring or a site must run", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			r, err := a.repository()
			if err != nil {
				return err
			}
			version, err := known(r, args[0])
			if err != nil {
				return err
			}
			old := assignments(r.Fleet().Fleet())
			what, was := "Ring "+ring, r.Fleet().Fleet().Rings[ring].Pin
			if site != "" {
				what, was = "Site "+site, r.Fleet().Fleet().Sites[site].Pin
				err = r.Fleet().PinSite(site, version)
			} else {
				err = r.Fleet().PinRing(ring, version)
			}
			if err != nil {
				return usage(err)
			}
			if err := r.SaveFleet(); err != nil {
				return err
			}
			moves := 0
			for name, now := range assignments(r.Fleet().Fleet()) {
				if old[name] != now {
					moves++
				}
			}
			if was != "" && was != version {
				what = fmt.Sprintf("%s was pinned to %s and", what, was)
			}
			a.printf("%s is pinned to %s: %s will move when it is published.\n", what, version, count(moves, "site"))
			return nil
		})
	c.Flags().StringVar(&ring, "ring", "", "a ring")
	c.Flags().StringVar(&site, "site", "", "a single site")
	c.MarkFlagsOneRequired("ring", "site")
	c.MarkFlagsMutuallyExclusive("ring", "site")
	return c
}

// assignments is what each site of a fleet must run; held sites stay where they are.
func assignments(f *manifest.Fleet) map[string]string {
	all := map[string]string{}
	for name := range f.Sites {
		if to, err := f.Assignment(name); err == nil && to.Hold == nil {
			all[name] = to.Pin
		}
	}
	return all
}

// known returns the full form of a version that the repository holds; nothing stays nothing.
func known(r *sign.Repository, version string) (string, error) {
	if version == "" {
		return "", nil
	}
	release, err := r.Release(version)
	if err != nil {
		return "", err
	}
	return release.Version, nil
}
