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
	Asked string   `json:"asked"` // what fleet.yaml says in place of the pin: a line, or previous
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
			l := ringLine{Ring: name, Pin: fleet.Rings[name].Pin, Asked: fleet.Rings[name].Asked, Sites: []string{}}
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
			t.add(l.Ring, dash(pinned(l.Pin, l.Asked)), strconv.Itoa(len(l.Sites)))
		}
		a.printf("%s", t)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// pinned is a pin with what it was asked for as.
func pinned(pin, asked string) string {
	if asked == "" {
		return pin
	}
	return pin + " (" + asked + ")"
}
