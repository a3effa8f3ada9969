package main

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
)

// version and built are set when a release of Dhow is built: -ldflags "-X main.version=1.0.0 -X main.built=2026-11-21T00:00:00Z".
var (
	version = "dev"
	built   = ""
)

func (a *app) version() *cobra.Command {
	var asJSON bool
	c := a.command("version", "Print the version of dhowctl", cobra.NoArgs, func(context.Context, []string) error {
		if asJSON {
			return a.printJSON(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
		}
		a.printf("dhowctl %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
