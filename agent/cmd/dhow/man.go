package main

import (
	"github.com/spf13/cobra"

	"dhow/installer/manual"
)

// manCommand writes the man pages; scripts/release calls it.
func (s *shell) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a folder",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return manual.Write(args[0], cmd.Root(), manual.Book{
				Title: "Dhow " + version, Date: manual.Day(buildTime()), Sections: []manual.Section{
					manual.ExitCodes(),
					{Title: "Environment", Items: [][2]string{
						{"DHOW_PREFIX", "keep everything under this folder, as with --prefix"},
						{"DOCKER_HOST", "the Docker Engine; dhow.yaml wins"},
						{"NO_COLOR", "when it is not empty: no colours"},
						{"HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "the way out, for the agent"},
					}},
					{Title: "Files", Items: [][2]string{
						{"/etc/dhow/dhow.yaml", "who this site is, where releases come from, and when"},
						{"/etc/dhow/site.env", "settings and passwords of this site, for root only"},
						{"/var/lib/dhow", "journal, root of trust, fetched bytes, releases, backups"},
						{"/run/dhow", "the socket of the agent"},
					}},
				},
			})
		},
	}
}
