package main

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:  "backup",
		Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		s.backupListCommand(), s.backupCreateCommand(), s.backupVerifyCommand(), s.backupRestoreCommand(), s.backupExportCommand(),
		s.backupDeleteCommand(),
	)
	return cmd
}

func (s *shell) backupListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "list",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := s.client().Backups(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(list)
			}
			s.tellBackups(list, fault.Now())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}

func (s *shell) tellBackups(list []api.Backup, now time.Time) {
	if len(list) == 0 {
		s.sayln("cli.no_backups", "command", s.command("backup create"))
		return
	}
	var rows [][]string
	for _, b := range list {
		rows = append(rows, []string{b.Name, b.Release, s.date(b.Made, now), s.sizes(b), s.words.List(b.Parts), s.remarks(b, now)})
	}
	s.columns(rows)
}

// sizes says how much data a backup holds and how much of it was new to the disk.
func (s *shell) sizes(b api.Backup) string {
	if b.Stored > 0 && b.Stored < b.Bytes {
		return s.say("cli.size_new", "size", s.words.Size(b.Bytes), "new", s.words.Size(b.Stored))
	}
	return s.words.Size(b.Bytes)
}

func (s *shell) remarks(b api.Backup, now time.Time) string {
	var list []string
	if b.Trouble != "" {
		list = append(list, s.say("cli.not_usable", "trouble", b.Trouble))
	}
	if b.Restore {
		list = append(list, s.say("cli.kept_for_going_back"))
	}
	if b.Verified != nil {
		list = append(list, s.say("cli.verified", "day", s.date(*b.Verified, now)))
	}
	if b.Tested != nil {
		list = append(list, s.say("cli.tested", "day", s.date(*b.Tested, now)))
	}
	for _, place := range b.Copies {
		list = append(list, s.say("cli.copy_in", "place", place))
	}
	return s.words.List(list)
}

// errand is a command that asks for something to be done with backups and follows it.
func (s *shell) errand(use, long string, request func(args []string) (api.BackupRequest, error)) *cobra.Command {
	var asJSON bool
	most := strings.Count(use, "NAME")
	cmd := &cobra.Command{
		Use: use, Long: long, Args: between(most-strings.Count(use, "[NAME]"), most),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := request(args)
			if err != nil {
				return err
			}
			return s.follow(cmd.Context(), asJSON, func(c *api.Client) (api.Started, error) { return c.Backup(cmd.Context(), r) })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json_end")
	return cmd
}

func (s *shell) backupCreateCommand() *cobra.Command {
	return s.errand("create",
		"help.long.backup.create",
		func([]string) (api.BackupRequest, error) { return api.BackupRequest{Action: api.BackupCreate}, nil })
}

func (s *shell) backupVerifyCommand() *cobra.Command {
	var drill bool
	cmd := s.errand("verify [NAME]",
		"help.long.backup.verify",
		func(args []string) (api.BackupRequest, error) {
			r := api.BackupRequest{Action: api.BackupVerify, Name: first(args)}
			if drill {
				r.Action = api.BackupDrill
			}
			return r, nil
		})
	cmd.Flags().BoolVar(&drill, "drill", false, "help.flag.drill")
	return cmd
}

func (s *shell) backupExportCommand() *cobra.Command {
	var to string
	cmd := s.errand("export [NAME] --to PLACE",
		"help.long.backup.export",
		func(args []string) (api.BackupRequest, error) {
			if to == "" {
				return api.BackupRequest{}, api.Fail(api.CodeUsage, "see: dhow backup export --help", "where to is missing: %s", "--to PLACE").In("to_missing", "flag", "--to PLACE")
			}
			place := to
			if !strings.Contains(place, "://") {
				abs, err := filepath.Abs(place)
				if err != nil {
					return api.BackupRequest{}, err
				}
				place = abs
			}
			return api.BackupRequest{Action: api.BackupExport, Name: first(args), Place: place}, nil
		})
	cmd.Flags().StringVar(&to, "to", "", "help.flag.backup.to")
	return cmd
}

func (s *shell) backupDeleteCommand() *cobra.Command {
	return s.errand("delete NAME",
		"help.long.backup.delete",
		func(args []string) (api.BackupRequest, error) {
			return api.BackupRequest{Action: api.BackupDelete, Name: args[0]}, nil
		})
}

func (s *shell) backupRestoreCommand() *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:  "restore NAME",
		Long: "help.long.backup.restore",
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.rollback(cmd.Context(), api.RollbackRequest{Backup: args[0]}, yes, asJSON)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "help.flag.yes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json_yes")
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
