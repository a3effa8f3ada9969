package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle/fetch"
)

func (s *shell) bundleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:  "bundle",
		Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.bundleExportCommand())
	return cmd
}

func (s *shell) bundleExportCommand() *cobra.Command {
	var to string
	var releases []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "export --to PATH",
		Long: "PATH is a file (.tar, .tgz, .tar.zst), a new folder, or a stick: then the bundle is a file on it, named after fleet and release.\n" +
			"Without --release it holds the release that runs and the one that waits. Any site of the fleet that is pinned to one of them takes it:\n" +
			"dhow update --from PATH. Nothing of this site is in it.",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case to == "":
				return api.Fail(api.CodeUsage, "see: dhow bundle export --help", "where to is missing: %s", "--to PATH").In("to_missing", "flag", "--to PATH")
			case strings.Contains(to, "://"):
				return api.Fail(api.CodeUsage, "name a file, a folder or a stick; for a network: dhow serve",
					"cannot write bundle %s: --to must be a path of this computer", fetch.Redact(to)).In("to_elsewhere", "bundle", fetch.Redact(to))
			}
			folder := strings.HasSuffix(to, "/") || strings.HasSuffix(to, string(filepath.Separator))
			if err := checkOutput(to); err != nil {
				return err
			}
			abs, err := filepath.Abs(to)
			if err != nil {
				return err
			}
			if folder {
				abs += string(filepath.Separator)
			}
			return s.follow(cmd.Context(), asJSON, func(c *api.Client) (api.Started, error) {
				return c.Bundle(cmd.Context(), api.BundleRequest{To: abs, Releases: releases})
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "help.flag.bundle.to")
	cmd.Flags().StringSliceVar(&releases, "release", nil, "help.flag.bundle.release")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json_end")
	return cmd
}
