package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"dhow/installer"
)

func (s *shell) uninstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "uninstall",
		Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			if s.prefix == "" {
				switch err := installer.Uninstall(); {
				case errors.Is(err, installer.ErrNoInit):
					s.printf("There is no service here.\n")
				case err != nil:
					return err
				default:
					s.printf("The service is removed.\n")
				}
			} else {
				s.printf("There is no service under a prefix; stop the agent yourself.\n")
			}
			s.printf("The stack goes on running. These stay, and you may remove them by hand:\n")
			p := s.paths()
			for _, f := range []struct{ path, what string }{
				{p.Config(), "configuration"},
				{p.Settings(), "settings and passwords of this site"},
				{p.State(), "journal, root of trust, fetched bytes, release files, and the backups of the data"},
			} {
				if _, err := os.Stat(f.path); err == nil {
					s.printf("  %s   %s\n", f.path, f.what)
				}
			}
			return nil
		},
	}
}
