package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dhow/installer/manual"
)

// man writes the man pages; scripts/release calls it.
func (a *app) man() *cobra.Command {
	var c *cobra.Command
	c = a.command("man DIR", "Write the man pages into a folder", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		at, _ := time.Parse(time.RFC3339, built) // empty in a build by hand
		return manual.Write(args[0], c.Root(), manual.Book{
			Title: "Dhow " + version, Date: manual.Day(at), Sections: []manual.Section{
				manual.ExitCodes(),
				{Title: "Environment", Items: [][2]string{
					{passphraseVariable, "the passphrase of the keys"},
					{pinVariable, "the PIN of a token with keys"},
					{"DHOWCTL_BY", "the name that stands beside what was changed"},
					{"HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "the way to registries"},
				}},
				{Title: "Files", Items: [][2]string{
					{"fleet.yaml", "who runs what"},
					{"keys", "private keys, encrypted; not in git"},
					{"store", "the bytes of releases; not in git"},
				}},
			},
		})
	})
	c.Hidden = true
	return c
}
