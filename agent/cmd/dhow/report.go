package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle/durable"
	"dhow/manifest/report"
)

func (s *shell) reportCommand() *cobra.Command {
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "report",
		Long: "help.long.report",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := s.client().Report(cmd.Context())
			if err != nil {
				return err
			}
			r, key, err := report.Parse(data)
			if err != nil {
				return api.Fail(api.CodeInternal, "update dhow", "the agent's report can't be read: %v", err).In("report_strange", "cause", err.Error())
			}
			if to != "" {
				path, err := writeReport(to, report.FileName(r.Site), data)
				if err != nil {
					return api.Fail(api.CodeRefused, "name a folder that may be written to, with room in it", "cannot write the report: %v", err).In("report-write", "problem", err.Error())
				}
				if !asJSON {
					s.printf("%s\n", s.say("offer.told-to", "path", path))
					return nil
				}
			}
			if asJSON {
				_, err := s.out.Write(append(data, '\n'))
				return err
			}
			s.tellReport(r, key)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "help.flag.report.to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.report.json")
	return cmd
}

func writeReport(dir, name string, data []byte) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	err = durable.WriteIn(root, name, 0o644, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}, nil)
	return filepath.Join(dir, name), err
}

func (s *shell) tellReport(r report.Report, key string) {
	const at = "2006-01-02 15:04"
	s.printf("%s\n", s.say("offer.told-line", "site", r.Site, "release", r.Release, "number", r.Number, "moment", r.Made.Local().Format(at)))
	for _, u := range r.Updates {
		s.printf("%s   %s   %s\n", u.Receipt, arrow(u.From, u.To), u.Result)
	}
	if !r.Backup.IsZero() {
		s.printf("%s\n", s.say("offer.told-backup", "moment", r.Backup.Local().Format(at)))
	}
	s.printf("%s\n", s.say("offer.told-key", "key", report.Fingerprint(key)))
}
