// Command dhowctl is the central team's program: it makes releases from compose files, says who runs what, signs, publishes, and packs
// bundles. It works on a fleet repository (package sign) and needs no server. Commands live in one file each; this package holds no
// logic that a site depends on. Exit codes are those of agent/api.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // policies name time zones, also on computers that have none installed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
