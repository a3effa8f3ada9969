package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

func (a *app) keyExport() *cobra.Command {
	var keep bool
	c := a.command("export NAME DIR|FILE", "Move a key to another place, such as a stick", cobra.ExactArgs(2), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		to, err := r.ExportKey(args[0], args[1], keep)
		switch {
		case errors.Is(err, syscall.EROFS):
			return fail(api.CodeUsage, err.Error(), "take the write protection off; the key is still here")
		case errors.Is(err, syscall.ENOSPC):
			return fail(api.CodeUsage, err.Error(), "make room or take another stick; the key is still here")
		case errors.Is(err, sign.ErrExists):
			return fail(api.CodeUsage, err.Error(), "name a folder, or a file that is not there yet")
		case errors.Is(err, fs.ErrNotExist):
			return fail(api.CodeUsage, err.Error(), "is the stick in, and the folder right? The key is still here")
		case err != nil:
			return err
		}
		if keep {
			a.printf("Key %s is in %s too, read back. Both need the passphrase.\n", args[0], to)
			return nil
		}
		a.printf("Key %s is in %s, read back, and no more on this computer. Keep it and its passphrase apart.\n", args[0], to)
		keys := to
		if filepath.Base(to) == args[0]+".json" {
			keys = filepath.Dir(to)
		}
		a.printf("When it is needed: dhowctl … --keys %s\n", keys)
		return nil
	})
	c.Flags().BoolVar(&keep, "keep", false, "copy it: the file here stays")
	return c
}
