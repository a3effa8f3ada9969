package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"dhow/manifest/trust"
)

func (a *app) rootShow() *cobra.Command {
	var asJSON bool
	c := a.command("show", "Print the file and the fingerprint of the root of trust", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		root, err := r.Root()
		if err != nil {
			return err
		}
		fingerprint, err := trust.Fingerprint(root)
		if err != nil {
			return err
		}
		file := filepath.Join(r.Dir(), "metadata", "1.root.json")
		if asJSON {
			return a.printJSON(map[string]string{"root": file, "fingerprint": fingerprint})
		}
		a.printf("%s\n%s\n", file, fingerprint)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
