package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) releaseRemove() *cobra.Command {
	return a.command("remove VERSION", "Remove a release that was made by mistake and never signed", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			r, err := a.repository()
			if err != nil {
				return err
			}
			if err := r.RemoveRelease(args[0]); err != nil {
				return err
			}
			a.printf("Release %s removed.\n", args[0])
			return nil
		})
}
