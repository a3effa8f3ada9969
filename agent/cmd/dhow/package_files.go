package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"dhow/agent/site"
	"dhow/bundle/durable"
	"dhow/installer"
)

// packageFilesCommand writes what install would write, for scripts/release to put into packages.
func (s *shell) packageFilesCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "package-files DIR",
		Short:  "Write the service and the launcher, as packages bring them, under a folder",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for path, text := range map[string]string{
				"/usr/lib/systemd/system/dhow.service": installer.Unit(),
				installer.LauncherPath:                 installer.Launcher("http://" + site.DefaultPage),
				installer.IconPath:                     string(installer.Icon),
			} {
				file := filepath.Join(args[0], filepath.FromSlash(path))
				if err := durable.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return err
				}
				if err := durable.WriteFile(file, []byte(text), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// packagePutCommand is what the packages call when their files are there: the program of the package, from where that has brought it.
func (s *shell) packagePutCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "package-put",
		Short:  "Put this program in place, unless a newer one is there",
		Hidden: true,
		Args:   exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, newer, err := installer.PutProgram(cmd.Context(), version)
			switch {
			case err != nil || newer == "":
			case newer == installer.Unsaid:
				s.sayln("install.unsaid", "path", installer.Program)
			default:
				s.sayln("install.package_newer", "newer", newer, "version", version, "command", installer.Owner())
			}
			return err
		},
	}
}
