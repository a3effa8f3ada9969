package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"dhow/manifest"
)

// agentJSON is one entry of agent list --json.
type agentJSON struct {
	Version   string                  `json:"version"`
	Platforms []manifest.AgentProgram `json:"platforms"`
	Fleet     bool                    `json:"fleet"` // it is pinned for all sites
	Rings     []string                `json:"rings"` // that it is pinned for
	Sites     int                     `json:"sites"` // that are to run it
}

func (a *app) agentList() *cobra.Command {
	var asJSON bool
	c := a.command("list", "List the versions of dhow itself, and who is to run them", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		versions, err := r.Agents()
		if err != nil {
			return err
		}
		fleet := r.Fleet().Fleet()
		list := []agentJSON{}
		for _, v := range versions {
			agent, err := r.Agent(v)
			if err != nil {
				return err
			}
			e := agentJSON{Version: v, Platforms: agent.Platforms, Fleet: fleet.Agent == v, Rings: []string{}}
			for _, name := range sorted(fleet.Rings) {
				if fleet.Rings[name].Agent == v {
					e.Rings = append(e.Rings, name)
				}
			}
			for name := range fleet.Sites {
				if as, err := fleet.Assignment(name); err == nil && as.Agent == v {
					e.Sites++
				}
			}
			list = append(list, e)
		}
		if asJSON {
			return a.printJSON(list)
		}
		if len(list) == 0 {
			a.printf("There is no version of the agent: sites run what was installed. Add one: dhowctl agent add VERSION DIST\n")
		}
		for _, e := range list {
			a.tellAgent(e)
		}
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (a *app) tellAgent(e agentJSON) {
	var whose, platforms []string
	if e.Fleet {
		whose = append(whose, "pinned for the fleet")
	}
	for _, r := range e.Rings {
		whose = append(whose, "pinned for ring "+r)
	}
	who := "not pinned"
	if len(whose) > 0 {
		who = strings.Join(whose, ", ") + " (" + count(e.Sites, "site") + ")"
	}
	for _, p := range e.Platforms {
		platforms = append(platforms, p.Platform)
	}
	a.printf("%-10s %s   %s\n", e.Version, who, strings.Join(platforms, ", "))
	for _, p := range e.Platforms {
		a.printf("           %-14s %s\n", p.Platform, agentWays(p))
	}
}
