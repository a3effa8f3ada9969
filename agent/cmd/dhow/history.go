package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

func (s *shell) historyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "history",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := s.client().History(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(list)
			}
			if err := s.tellHistory(list, fault.Now()); err != nil {
				return err
			}
			status, err := s.client().Status(cmd.Context())
			if err == nil && status.Paused != nil {
				s.printf("%s: nothing is fetched\n", pauseText(status.Paused, fault.Now()))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (s *shell) tellHistory(list []api.Update, now time.Time) error {
	if len(list) == 0 {
		s.printf("no updates yet\n")
		return nil
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	for _, u := range list {
		fmt.Fprintf(w, "%04d\t%s\t%s\t%s\t%s\n", u.ID, dated(u.Started, now), arrow(u.From, u.To), resultOf(u), details(u))
	}
	return w.Flush()
}

func resultOf(u api.Update) string {
	if u.Result == "" {
		return "under way"
	}
	if u.Result == api.ResultDone && u.Kind != "apply" {
		return map[string]string{"rollback": "went back", "adopt": "taken over"}[u.Kind]
	}
	return u.Result
}

func details(u api.Update) string {
	if u.Reason != "" {
		return u.Reason
	}
	var parts []string
	if u.DowntimeSeconds > 0 {
		parts = append(parts, "away "+short(time.Duration(u.DowntimeSeconds*float64(time.Second))))
	}
	if u.BytesFetched > 0 {
		parts = append(parts, size(u.BytesFetched))
	}
	switch n := len(u.Setbacks); n {
	case 0:
	case 1:
		parts = append(parts, u.Setbacks[0])
	default:
		parts = append(parts, fmt.Sprintf("%s (and %d more like it)", u.Setbacks[0], n-1))
	}
	return strings.Join(parts, ", ")
}
