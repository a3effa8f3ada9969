//go:build linux

// Load measures for scripts/bench load how long an image takes from a bundle into the engine:
//
//	load run WORK ROUNDS                       all of it
//	load one BUNDLE ROOT STATE TAG [RUNNING]   Dhow's side in a process of its own, with the code of the agent; RUNNING is the release before
//	load idle STATE                            the same process when it has nothing to do
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dhow/agent/engine"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "run":
		rounds, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return measure(ctx, args[1], rounds)
	case len(args) >= 5 && len(args) <= 6 && args[0] == "one":
		return one(ctx, args[1], args[2], args[3], args[4], strings.Join(args[5:], ""))
	case len(args) == 2 && args[0] == "idle":
		return idle(ctx, args[1])
	}
	return errors.New("see the comment of the program")
}

// took is what one load cost: seconds, of which All are those of the process from its start to its end; bytes, and bytes of memory at most.
type took struct {
	All                 float64 `json:"-"`
	Fetch, Verify, Load float64
	Sent, Peak          int64
}

func idle(ctx context.Context, dir string) error {
	_, e, err := begin(ctx, dir)
	if err != nil {
		return err
	}
	defer e.Close()
	return json.NewEncoder(os.Stdout).Encode(took{Peak: peak()})
}

func begin(ctx context.Context, dir string) (*bundle.Store, *engine.Engine, error) {
	store, err := bundle.OpenStore(filepath.Join(dir, "store"))
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.Connect("")
	if err != nil {
		return nil, nil, err
	}
	_, err = e.Info(ctx)
	return store, e, err
}

// one brings the newest release of a bundle into the store and its image into the engine. Layers of the running release are treated as the
// agent's step "verify" does it.
func one(ctx context.Context, spec, rootPath, dir, tag, running string) error {
	var t took
	start := time.Now()
	lap := func(to *float64) { *to, start = time.Since(start).Seconds(), time.Now() }
	store, e, err := begin(ctx, dir)
	if err != nil {
		return err
	}
	defer e.Close()
	root, err := os.ReadFile(rootPath)
	if err != nil {
		return err
	}
	src, err := fetch.Open(ctx, spec)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := trust.Init(filepath.Join(dir, "trust"), root); err != nil {
		return err
	}
	client, err := trust.Open(filepath.Join(dir, "trust"), trust.Options{})
	if err != nil {
		return err
	}
	if _, err := client.Refresh(ctx, src, true); err != nil {
		return err
	}
	hint, err := bundle.ReadHint(ctx, src)
	if err != nil {
		return err
	}
	r, _, err := client.Release(ctx, src, hint.Releases[len(hint.Releases)-1])
	if err != nil {
		return err
	}
	wants, err := fetch.Wants(store, r, "linux/amd64")
	if err != nil {
		return err
	}
	if _, err := fetch.Blobs(ctx, store, []bundle.Source{src}, wants, fetch.Options{}); err != nil {
		return err
	}
	lap(&t.Fetch)
	images, err := r.PlatformImages("linux/amd64")
	if err != nil {
		return err
	}
	if err := verify(ctx, store, e, client, images, running); err != nil {
		return err
	}
	lap(&t.Verify)
	for _, p := range images {
		config, err := store.Read(p.Config, 8<<20)
		if err != nil {
			return err
		}
		img := engine.Image{Config: config, ConfigDigest: p.Config.Digest, Tag: tag}
		for _, l := range p.Layers {
			img.Layers = append(img.Layers, engine.Layer{
				DiffID: l.DiffID, DiffSize: l.DiffSize, Open: func() (io.ReadCloser, error) { return store.OpenLayer(l) },
			})
		}
		if err := e.Load(ctx, img, func(done, _ int64) { t.Sent = done }); err != nil {
			return err
		}
	}
	lap(&t.Load)
	t.Peak = peak()
	return json.NewEncoder(os.Stdout).Encode(t)
}

func verify(ctx context.Context, store *bundle.Store, e *engine.Engine, c *trust.Client, images []manifest.PlatformImage, running string) error {
	var before []manifest.PlatformImage
	if running != "" {
		r, _, err := c.CachedRelease(running)
		if err != nil {
			return err
		}
		if before, err = r.PlatformImages("linux/amd64"); err != nil {
			return err
		}
	}
	for _, p := range images {
		known := 0
		for _, old := range before {
			there, err := e.HasImage(ctx, old.Config.Digest)
			if err != nil {
				return err
			}
			if there {
				known = max(known, p.Shared(old))
			}
		}
		if err := store.VerifyAbove(ctx, p, known); err != nil {
			return err
		}
	}
	return nil
}

// peak is the largest resident memory of this process so far, in bytes.
func peak() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n * 1024
		}
	}
	return 0
}
