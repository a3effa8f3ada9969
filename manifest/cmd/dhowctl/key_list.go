package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) keyList() *cobra.Command {
	var asJSON bool
	c := a.command("list", "List the keys of the fleet and where they are", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		list, err := r.Keys()
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(list)
		}
		t := newTable("KEY", "ROLE", "MUST SIGN", "ID", "HERE")
		for _, role := range list.Roles {
			for _, k := range role.Keys {
				where := dash(k.File)
				if k.Token != "" {
					where = "token " + k.Token
				}
				t.add(k.Name, k.Role, fmt.Sprintf("%d of %d", role.Threshold, len(role.Keys)), k.ID[:8], where)
			}
		}
		a.printf("%s", t)
		for _, k := range list.Other {
			a.printf("%s (%s) is not in the root: %s\n", k.Name, k.Role, k.File)
		}
		a.printf("Root %d, good until %s.\n", list.Root, list.Expires.Format(time.DateOnly))
		if s := list.Staged; s != nil {
			a.printf("Root %d (%s) waits for %s.\n", s.Version, strings.Join(s.Effect, ", "), strings.Join(s.Missing, ", and for "))
		}
		for _, text := range list.Damaged {
			a.warnf("%s", text)
		}
		a.warnExpiry(r)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
