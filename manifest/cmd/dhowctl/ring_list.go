package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

// ringLine is one ring of ring list --json.
type ringLine struct {
	Ring  string   `json:"ring"`
	Pin   string   `json:"pin"`
	Sites []string `json:"sites"`
}

func (a *app) ringList() *cobra.Command {
	var asJSON bool
	c := a.command("list", "List rings", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		fleet, err := r.Resolve()
		if err != nil {
			return err
		}
		lines := []ringLine{}
		for _, name := range sorted(fleet.Rings) {
			l := ringLine{Ring: name, Pin: fleet.Rings[name].Pin, Sites: []string{}}
			for _, site := range sorted(fleet.Sites) {
				if fleet.Sites[site].Ring == name {
					l.Sites = append(l.Sites, site)
				}
			}
			lines = append(lines, l)
		}
		if asJSON {
			return a.printJSON(lines)
		}
		if len(lines) == 0 {
			a.printf("No rings yet. Add one: dhowctl ring add NAME\n")
			return nil
		}
		t := newTable("RING", "PINNED", "SITES")
		for _, l := range lines {
			t.add(l.Ring, dash(l.Pin), strconv.Itoa(len(l.Sites)))
		}
		a.printf("%s", t)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
