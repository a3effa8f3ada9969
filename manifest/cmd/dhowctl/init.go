package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

// minPassphrase is how many characters the passphrase of new keys must have.
const minPassphrase = 8

// keyOptions change how keys are encrypted: tests make it cheap.
var keyOptions []sign.Option

func (a *app) initCommand() *cobra.Command {
	var name string
	c := a.command("init DIR --name NAME", "Make a fleet repository: keys, root of trust, fleet.yaml", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			pass, err := a.passphrase(true)
			if err != nil {
				return err
			}
			if utf8.RuneCount(pass) < minPassphrase {
				return fail(api.CodeUsage, fmt.Sprintf("the passphrase is shorter than %d characters", minPassphrase),
					"it guards the keys of the whole fleet: take several words")
			}
			created, err := sign.Init(args[0], name, pass, append(keyOptions, sign.WithNow(a.now()))...)
			if err != nil {
				return err
			}
			a.printf("Created %s/: 3 root keys (2 needed), 1 release key, 1 freshness key, fleet.yaml.\n", strings.TrimRight(args[0], "/"))
			a.printf("Move two of the root keys to other places now, such as keys/root-2.json and keys/root-3.json: " +
				"publishing does not need them.\n")
			a.printf("Root fingerprint, to read over the phone: %s\n", created.Fingerprint)
			return nil
		})
	c.Flags().StringVar(&name, "name", "", "name of the fleet; it never changes")
	_ = c.MarkFlagRequired("name")
	return c
}
