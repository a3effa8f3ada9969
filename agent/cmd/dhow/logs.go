package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
)

// entry is a line of the log, as logs prints it with --json, one a line. Level is error, warning, info or debug.
type entry struct {
	Time  time.Time `json:"time,omitzero"`
	Level string    `json:"level,omitempty"`
	Text  string    `json:"text"`
}

// wish is what of a log is asked for.
type wish struct {
	lines  int
	since  time.Time // zero: all
	follow bool
}

func (s *shell) logsCommand() *cobra.Command {
	var w wish
	var since string
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "logs",
		Long: "help.long.logs",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if w.since, err = parseSince(since, fault.Now()); err != nil {
				return err
			}
			if w.lines < 0 {
				return api.Fail(api.CodeUsage, "see: dhow logs --help", "-n wants a number of lines").In("lines_wrong")
			}
			err = s.readLog(cmd.Context(), w, func(e entry) error {
				if asJSON {
					return json.NewEncoder(s.out).Encode(e)
				}
				if e.Time.IsZero() {
					s.printf("%s\n", e.Text)
					return nil
				}
				s.printf("%s %-7s %s\n", e.Time.Local().Format("2006-01-02 15:04:05"), e.Level, e.Text)
				return nil
			})
			if w.follow && errors.Is(err, context.Canceled) {
				return nil // which is how following ends
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&w.follow, "follow", "f", false, "help.flag.logs.follow")
	f.IntVarP(&w.lines, "lines", "n", 100, "help.flag.logs.lines")
	f.StringVar(&since, "since", "", "help.flag.logs.since")
	f.BoolVar(&asJSON, "json", false, "help.flag.logs.json")
	return cmd
}

// parseSince reads a length of time before now, or a moment of this computer's zone.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, api.Fail(api.CodeUsage, `such as --since 2h, --since 3d, --since 2026-11-21 or --since "2026-11-21 20:00"`, "--since %q is no moment", text).In("no_moment", "value", text)
}

// readLog hands over the lines of the agent's log, the oldest first.
func (s *shell) readLog(ctx context.Context, w wish, tell func(entry) error) error {
	path := logFile(s.paths())
	if program, err := exec.LookPath("journalctl"); s.prefix == "" && err == nil && systemdRuns() {
		told, err := readJournal(ctx, program, w, tell)
		if _, missing := os.Stat(path); err != nil || told || missing != nil {
			return err
		}
	}
	err := readRing(ctx, path, w, tell)
	if errors.Is(err, fs.ErrNotExist) {
		return api.Fail(api.CodeInternal, "is the agent running? dhow status", "there is no log yet in %s", path).In("no_log", "path", path)
	}
	if errors.Is(err, os.ErrPermission) {
		return api.Fail(api.CodeInternal, "try it with sudo", "cannot read the log: %v", err).In("log_closed", "cause", err.Error())
	}
	return err
}
