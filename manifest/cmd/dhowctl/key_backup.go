package main

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) keyBackup() *cobra.Command {
	var show bool
	c := a.command("backup", "Make the key that sites encrypt copies of their backups to", cobra.NoArgs,
		func(context.Context, []string) error {
			r, err := a.repository()
			if err != nil {
				return err
			}
			public := r.Fleet().Fleet().Policy.BackupKey
			if show {
				if public == "" {
					return fail(api.CodeUsage, "the fleet has no backup key", "make it: dhowctl key backup")
				}
				a.printf("%s\n", public)
				return nil
			}
			if public != "" {
				return fail(api.CodeUsage, "the fleet has a backup key already: "+public,
					"to change it, move "+r.BackupKeyFile()+" away (it opens the older copies), take backupKey out of fleet.yaml, and try again")
			}
			return a.makeBackupKey(r)
		})
	c.Flags().BoolVar(&show, "show", false, "print the public key of the fleet and make nothing")
	return c
}

func (a *app) makeBackupKey(r *sign.Repository) error {
	pass, err := a.passphrase(true)
	if err != nil {
		return err
	}
	if utf8.RuneCount(pass) < minPassphrase {
		return fail(api.CodeUsage, fmt.Sprintf("the passphrase is shorter than %d characters", minPassphrase),
			"it guards the backups of the whole fleet: take several words")
	}
	public, err := r.NewBackupKey(pass, append(keyOptions, sign.WithNow(a.now()))...)
	if errors.Is(err, sign.ErrPassphrase) {
		return fail(api.CodeUsage, err.Error(), "the passphrase is the one that was given when the key was made")
	}
	if err != nil {
		return err
	}
	a.printf("Created %s: who has it and its passphrase can read the backups of all sites.\n", r.BackupKeyFile())
	a.printf("Keep copies of it at two other places now: without it no copy of a backup can be opened.\n")
	a.printf("Public key, in fleet.yaml; sites get it with the next publish: %s\n", public)
	return nil
}
