//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"dhow/manifest/trust"
)

// folderSource reads documents without a network.
type folderSource string

func (f folderSource) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), filepath.FromSlash(path)))
}

// verify prints the median time of a refresh from nothing to the manifest in a folder, and the memory that it needed at most.
func verify(ctx context.Context, folder, name string) error {
	root, err := os.ReadFile(filepath.Join(folder, "metadata", "1.root.json"))
	if err != nil {
		return err
	}
	before := peak()
	var times []time.Duration
	for range 15 {
		dir, err := os.MkdirTemp("", "dhow-")
		if err != nil {
			return err
		}
		if err := trust.Init(dir, root); err != nil {
			return err
		}
		c, err := trust.Open(dir, trust.Options{Site: name})
		if err != nil {
			return err
		}
		start := time.Now()
		m, err := c.Refresh(ctx, folderSource(folder), false)
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		if name != "" {
			if _, err := m.Fleet.Assignment(name); err != nil {
				return err
			}
		}
		runtime.GC()
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	slices.Sort(times)
	fmt.Printf("%.1f ms, %.1f MB\n", float64(times[len(times)/2].Microseconds())/1000, float64(peak()-before)/1e6)
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
