package main

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// version and built are set by the release build: -ldflags "-X main.version=1.0.0 -X main.built=2026-11-21T00:00:00Z".
var (
	version = "dev"
	built   = ""
)

// buildTime is a moment that has certainly passed: the clock of a site is never taken to be earlier. It is zero when nobody knows.
func buildTime() time.Time {
	stamp := built
	if info, ok := debug.ReadBuildInfo(); ok && stamp == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				stamp = s.Value
			}
		}
	}
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (s *shell) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "version",
		Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return s.json(map[string]string{"version": version, "platform": runtime.GOOS + "/" + runtime.GOARCH, "go": runtime.Version()})
			}
			s.printf("dhow %s %s/%s %s\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	return cmd
}
