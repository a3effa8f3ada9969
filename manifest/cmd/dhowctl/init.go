package main

import (
	"context"
	"fmt"
	"strings"

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
	var keys, threshold int
	c := a.command("init DIR --name NAME", "Make a fleet repository: keys, root of trust, fleet.yaml", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			if threshold == 0 {
				threshold = keys/2 + 1
			}
			if keys < 1 || threshold < 1 || threshold > keys {
				return fail(api.CodeUsage, fmt.Sprintf("%d of %d root keys can't sign", threshold, keys), "--root-keys 3 --threshold 2 is what fits most fleets")
			}
			pass, err := a.newPassphrase()
			if err != nil {
				return err
			}
			options := append(keyOptions, sign.WithNow(a.now()), sign.WithRootKeys(keys, threshold))
			created, err := sign.Init(args[0], name, pass, options...)
			if err != nil {
				return err
			}
			a.printf("Created %s/: %s (%d needed), 1 release key, 1 freshness key, fleet.yaml.\n",
				strings.TrimRight(args[0], "/"), count(keys, "root key"), threshold)
			if threshold == 1 {
				a.warnf("%s", oneKey)
			} else if threshold == keys {
				a.warnf(allKeys, keys)
			}
			if keys > 1 {
				a.printf("Move the root keys to other places now, one each: dhowctl key export root-%d /media/usb (see README, \"Keys\"). "+
					"Publishing does not need them.\n", keys)
			} else {
				a.printf("Copy the root key to another place now: dhowctl key export root-1 /media/usb --keep (see README, \"Keys\").\n")
			}
			a.printf("Root fingerprint, to read over the phone: %s\n", created.Fingerprint)
			return nil
		})
	c.Flags().StringVar(&name, "name", "", "name of the fleet; it never changes")
	c.Flags().IntVar(&keys, "root-keys", 3, "how many root keys to make")
	c.Flags().IntVar(&threshold, "threshold", 0, "how many root keys must sign a change of keys (default: more than half)")
	_ = c.MarkFlagRequired("name")
	return c
}

const (
	// oneKey warns of a fleet that hangs on one key.
	oneKey = "one root key alone decides: who steals it has the fleet, and when it is lost no key can ever be replaced"
	// allKeys warns of a fleet that can't lose any.
	allKeys = "all %d root keys must sign: losing one of them locks the fleet out; add one (dhowctl key create root-N --role root, then key add)"
)
