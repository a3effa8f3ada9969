// Command flaky measures for scripts/bench flaky-link how images come over bad lines:
//
//	flaky run REGISTRY REPOSITORY WORK TRIES       Dhow, docker pull and skopeo copy, each of them on every line
//	flaky fetch SOURCE STORE DIGEST SIZE …         Dhow's side in a process of its own, which can be killed: it fetches until all is there
//
// The repository holds two images, big and small, of one layer each.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
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
	switch {
	case len(args) == 5 && args[0] == "run":
		tries, err := strconv.Atoi(args[4])
		if err != nil {
			return err
		}
		return measure(ctx, args[1], args[2], args[3], tries)
	case len(args) >= 5 && args[0] == "fetch":
		return fetchAll(ctx, args[1], args[2], args[3:])
	}
	return errors.New("see the comment of the program")
}

// fetchAll does what an agent does: it asks again after some time for as long as the line is in the way.
func fetchAll(ctx context.Context, source, dir string, blobs []string) error {
	store, err := bundle.OpenStore(dir)
	if err != nil {
		return err
	}
	var wants []fetch.Want
	for ; len(blobs) >= 2; blobs = blobs[2:] {
		size, err := strconv.ParseInt(blobs[1], 10, 64)
		if err != nil {
			return err
		}
		wants = append(wants, fetch.Want{Forms: []manifest.Blob{{Digest: digest.Digest(blobs[0]), Size: size}}})
	}
	network := fetch.NewNetwork()
	defer network.Close()
	for {
		src, err := network.Open(ctx, source)
		if err != nil {
			return err
		}
		_, err = fetch.Blobs(ctx, store, []bundle.Source{src}, wants, fetch.Options{})
		_ = src.Close()
		if err == nil || !errors.Is(err, bundle.ErrUnreachable) {
			return err
		}
		fmt.Fprintln(os.Stderr, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
		}
	}
}
