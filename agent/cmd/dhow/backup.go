package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
)

func (s *shell) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Look at the safe copies of the data",
		Args:  known,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.backupListCommand())
	return cmd
}

func (s *shell) backupListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the backups of this site, newest first",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := s.client().Backups(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(list)
			}
			return s.tellBackups(list, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (s *shell) tellBackups(list []api.Backup, now time.Time) error {
	if len(list) == 0 {
		s.printf("no backups yet; the first one is made by the first update\n")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	for _, b := range list {
		need := ""
		if b.Restore {
			need = "kept for going back"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Name, b.Release, dated(b.Made, now), size(b.Bytes), strings.Join(b.Parts, ", "), need)
	}
	return w.Flush()
}
