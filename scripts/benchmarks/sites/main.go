//go:build linux

// Sites measures what polls cost, for scripts/bench poll and fleet:
//
//	sites poll WORK WEB FOLDER REGISTRY                   bytes of a poll; WEB is HOST:PORT over FOLDER, REGISTRY is HOST:PORT
//	sites verify FOLDER SITE                              time and memory of reading a fleet, in a process of its own
//	sites load WORK SITES DURATION WEB FOLDER REGISTRY    many sites for some time; it starts, kills and starts the servers itself
//
// Servers' certificates come from $SSL_CERT_FILE.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sites:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 5 && args[0] == "poll":
		return poll(ctx, args[1], args[2], args[3], args[4])
	case len(args) == 3 && args[0] == "verify":
		return verify(ctx, args[1], args[2])
	case len(args) == 7 && args[0] == "load":
		return load(ctx, args[1:])
	}
	return fmt.Errorf("see the comment of the program")
}
