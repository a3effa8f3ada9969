//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run. Files of release 1.N.0 end with -N.
type bench struct {
	ctx  context.Context
	work string
	self string
}

func measure(ctx context.Context, work string, rounds int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := &bench{ctx, work, self}
	defer b.empty()
	for _, name := range []string{"save-0.tgz", "save-1.tgz", "bundle-0.tgz", "bundle-1.tgz"} {
		if _, err := b.output("md5sum", filepath.Join(work, name)); err != nil { // into the page cache
			return err
		}
	}
	var full, top, fullDocker, topDocker []float64
	var most int64
	idle, err := b.dhow("idle", b.path("state"))
	if err != nil {
		return err
	}
	fmt.Printf("%-32s %7s %7s %7s %7s %9s %8s\n", "", "time", "fetch", "verify", "load", "sent MB", "peak MB")
	for round := range rounds {
		name := func(what string) string { return fmt.Sprintf("%d %s", round+1, what) }
		for _, docker := range []bool{true, false} {
			if err := b.empty(); err != nil {
				return err
			}
			for n, list := range [][2]*[]float64{{&full, &fullDocker}, {&top, &topDocker}} {
				what := []string{"whole", "top layer new"}[n]
				syscall.Sync()
				if docker {
					s, err := b.load(n)
					if err != nil {
						return err
					}
					fmt.Printf("%-32s %6.1fs\n", name(what+", gzip -dc | docker load"), s)
					*list[1] = append(*list[1], s)
					continue
				}
				args := []string{"one", fmt.Sprintf("%s-%d.tgz", b.path("bundle"), n), b.path("1.root.json"), b.path("state"), fmt.Sprintf("dhow-bench-load:1.%d.0", n)}
				if n == 1 {
					args = append(args, "1.0.0")
				}
				t, err := b.dhow(args...)
				if err != nil {
					return err
				}
				fmt.Printf("%-32s %6.1fs %6.1fs %6.1fs %6.1fs %9.1f %8.1f\n", name(what+", dhow"), t.All, t.Fetch, t.Verify, t.Load,
					float64(t.Sent)/1e6, float64(t.Peak-idle.Peak)/1e6)
				*list[0] = append(*list[0], t.All)
				most = max(most, t.Peak)
			}
		}
	}
	fmt.Printf("load: full=%.2f top_layer=%.3f peak_mb=%.0f\n", median(full)/median(fullDocker), median(top)/median(topDocker), float64(most-idle.Peak)/1e6)
	return nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func (b *bench) path(name string) string { return filepath.Join(b.work, name) }

func (b *bench) output(name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(b.ctx, name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(errs.String()))
	}
	return out, nil
}

// empty takes the image out of the engine and the store.
func (b *bench) empty() error {
	out, err := b.output("docker", "images", "--format", "{{.Repository}}:{{.Tag}}")
	if err != nil {
		return err
	}
	for ref := range strings.FieldsSeq(string(out)) {
		if strings.Contains(ref, "dhow-bench/load:") || strings.HasPrefix(ref, "dhow-bench-load:") {
			if _, err := b.output("docker", "rmi", ref); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(b.path("state"))
}

// load is what people do by hand.
func (b *bench) load(n int) (seconds float64, err error) {
	start := time.Now()
	_, err = b.output("sh", "-c", `gzip -dc "$1" | docker load -q`, "sh", fmt.Sprintf("%s-%d.tgz", b.path("save"), n))
	return time.Since(start).Seconds(), err
}

// dhow is our side, the start of a process included as on the other.
func (b *bench) dhow(args ...string) (t took, err error) {
	start := time.Now()
	out, err := b.output(b.self, args...)
	all := time.Since(start).Seconds()
	if err == nil {
		err = json.Unmarshal(out, &t)
	}
	t.All = all
	return t, err
}
