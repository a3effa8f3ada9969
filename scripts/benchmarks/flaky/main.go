// Command flaky measures for scripts/bench flaky-link how images come over bad lines:
//
//	flaky REGISTRY WORK TRIES       Dhow, docker pull and skopeo copy, each of them on every line
//
// In the registry are dhow-bench/flaky:big and :small, images of one layer, and a fleet, dhow-bench/fleet, whose releases 1.0.0 and 1.1.0
// are these images. In the folder are the program bin/dhow and the fleet's root of trust, 1.root.json.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "flaky:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("see the comment of the program")
	}
	tries, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	return measure(ctx, args[0], args[1], tries)
}
