package main

import (
	"context"

	"github.com/spf13/cobra"
)

// siteLine is one site of site list --json. Runs is what it must run: its own pin or its ring's.
type siteLine struct {
	Site  string `json:"site"`
	Ring  string `json:"ring"`
	Pin   string `json:"pin"`
	Runs  string `json:"runs"`
	Asked string `json:"asked"` // what fleet.yaml says in place of Runs: a line, or previous
	Hold  string `json:"hold"`
}

func (a *app) siteList() *cobra.Command {
	var asJSON bool
	c := a.command("list", "List sites and what they must run", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		fleet, err := r.Resolve()
		if err != nil {
			return err
		}
		lines := []siteLine{}
		for _, name := range sorted(fleet.Sites) {
			to, err := fleet.Assignment(name)
			if err != nil {
				return err
			}
			l := siteLine{Site: name, Ring: to.Ring, Pin: fleet.Sites[name].Pin, Runs: to.Pin, Asked: to.Asked}
			if to.Hold != nil {
				l.Hold = to.Hold.Reason
			}
			lines = append(lines, l)
		}
		if asJSON {
			return a.printJSON(lines)
		}
		if len(lines) == 0 {
			a.printf("No sites yet. Add one: dhowctl site add NAME --ring RING\n")
			return nil
		}
		t := newTable("SITE", "RING", "RUNS", "HOLD")
		for _, l := range lines {
			runs := dash(pinned(l.Runs, l.Asked))
			if l.Pin != "" {
				runs += " (own pin)"
			}
			t.add(l.Site, l.Ring, runs, dash(l.Hold))
		}
		a.printf("%s", t)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
