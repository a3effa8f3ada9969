package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/manifest"
)

// releaseLine is one release of release list --json. Bytes are by platform, for a site that has nothing.
type releaseLine struct {
	Version   string           `json:"version"`
	Created   time.Time        `json:"created"`
	Platforms []string         `json:"platforms"`
	Bytes     map[string]int64 `json:"bytes"`
	Rings     []string         `json:"rings"` // pinned to it
	Sites     []string         `json:"sites"` // pinned to it by themselves
}

func (a *app) releaseList() *cobra.Command {
	var asJSON bool
	c := a.command("list", "List releases, the newest last", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		versions, err := r.Releases()
		if err != nil {
			return err
		}
		fleet, err := r.Resolve()
		if err != nil {
			return err
		}
		lines := []releaseLine{}
		err = withCosts(r, func(c costs) error {
			for _, v := range versions {
				release, err := r.Release(v)
				if err != nil {
					return err
				}
				line := lineOf(release, fleet)
				for _, p := range line.Platforms {
					if line.Bytes[p], err = c.bytes(release, nil, p); err != nil {
						return err
					}
				}
				lines = append(lines, line)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(lines)
		}
		if len(lines) == 0 {
			a.printf("No releases yet. Make one: dhowctl release create 1.0.0 -f compose.yaml\n")
			return nil
		}
		t := newTable("RELEASE", "MADE", "PLATFORMS", "PINNED BY")
		for _, l := range lines {
			t.add(l.Version, l.Created.Format(time.DateOnly), strings.Join(l.Platforms, ", "), pinnedBy(l.Rings, l.Sites))
		}
		a.printf("%s", t)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func lineOf(r *manifest.Release, f *manifest.Fleet) releaseLine {
	l := releaseLine{
		Version: r.Version, Created: r.Created, Platforms: r.Platforms(),
		Bytes: map[string]int64{}, Rings: []string{}, Sites: []string{},
	}
	for _, name := range sorted(f.Rings) {
		if f.Rings[name].Pin == r.Version {
			l.Rings = append(l.Rings, name)
		}
	}
	for _, name := range sorted(f.Sites) {
		if f.Sites[name].Pin == r.Version {
			l.Sites = append(l.Sites, name)
		}
	}
	return l
}

func pinnedBy(rings, sites []string) string {
	var all []string
	for _, r := range rings {
		all = append(all, "ring "+r)
	}
	for _, s := range sites {
		all = append(all, "site "+s)
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}
