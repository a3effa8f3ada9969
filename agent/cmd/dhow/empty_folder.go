package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/update"
)

// emptyFolderCommand is what dhow does when it is sent into a container to empty a volume (see update.EmptyFolder). It refuses to do that
// anywhere else: only in a container of its own is it the first process.
func (s *shell) emptyFolderCommand() *cobra.Command {
	return &cobra.Command{
		Use: update.EmptyFolder + " FOLDER", Hidden: true, Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if os.Getpid() != 1 {
				return api.Fail(api.CodeUsage, "it is not for people", "this works inside a container of its own only")
			}
			entries, err := os.ReadDir(args[0])
			for _, e := range entries {
				err = errors.Join(err, os.RemoveAll(filepath.Join(args[0], e.Name())))
			}
			return err
		},
	}
}
