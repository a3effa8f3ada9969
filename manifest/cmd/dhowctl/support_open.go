package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/offsite"
	"dhow/agent/support"
)

func (a *app) supportOpen() *cobra.Command {
	var identity, out string
	c := a.command("open FILE", "Open what dhow support has written at a site", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			if identity == "" {
				if r, err := a.repository(); err == nil {
					identity = r.BackupKeyFile()
				} else {
					return fail(api.CodeUsage, "the backup key of the fleet is needed", "name it with --identity backup.key")
				}
			}
			if out == "" {
				out = strings.TrimSuffix(filepath.Base(args[0]), ".age")
				if out == filepath.Base(args[0]) {
					out += ".d"
				}
			}
			keys, err := os.Open(identity)
			if err != nil {
				return fail(api.CodeUsage, "cannot read the backup key: "+err.Error(), "name it with --identity backup.key")
			}
			defer keys.Close()
			ids, err := offsite.ReadIdentities(keys, func() ([]byte, error) { return a.passphrase(false) })
			switch {
			case errors.Is(err, offsite.ErrPassphrase):
				return fail(api.CodeUsage, identity+": "+err.Error(), "it is the passphrase of the backup key")
			case err != nil:
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return fail(api.CodeUsage, "cannot read the support file: "+err.Error(), "check the path")
			}
			defer file.Close()
			names, err := support.Open(file, ids, out)
			switch {
			case errors.Is(err, support.ErrOther):
				return fail(api.CodeNotTrusted, err.Error(), "use the backup key of the fleet that the site belongs to")
			case errors.Is(err, support.ErrDamaged), errors.Is(err, support.ErrLarge):
				return fail(api.CodeNotTrusted, err.Error(), "ask the site to make it again: dhow support")
			case errors.Is(err, fs.ErrExist):
				return fail(api.CodeUsage, err.Error(), "name an empty folder with -o")
			case err != nil:
				return err
			}
			for _, n := range names {
				a.printf("%s\n", filepath.Join(out, n))
			}
			return nil
		})
	c.Flags().StringVar(&identity, "identity", "", "the secret backup key (default: that of the fleet, keys/backup.key)")
	c.Flags().StringVarP(&out, "output", "o", "", "the folder to write into (default: the name of the file)")
	return c
}
