//go:build linux

// Measure runs operations of package archive for benchmarks, and other programs for comparison:
//
//	measure create|restore|verify ARCHIVE NAME TREE=FOLDER …
//	measure run PROGRAM ARGUMENT …       prints seconds, seconds of processor time and peak memory in MB of the program, its output aside
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"dhow/agent/backup/archive"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 1 && args[0] == "run" {
		return measure(args[1:])
	}
	if len(args) < 3 {
		return fmt.Errorf("see the comment of the program")
	}
	a, err := archive.Open(args[1])
	if err != nil {
		return err
	}
	var trees []archive.Tree
	for _, arg := range args[3:] {
		name, path, _ := strings.Cut(arg, "=")
		trees = append(trees, archive.Tree{Name: name, Path: path})
	}
	ctx, name := context.Background(), args[2]
	switch args[0] {
	case "create":
		_, err = a.Create(ctx, archive.Contents{Record: archive.Record{Name: name, Made: time.Now()}, Trees: trees}, nil)
	case "restore":
		err = a.Restore(ctx, name, trees, nil)
	case "verify":
		err = a.Verify(ctx, name, nil)
	default:
		err = fmt.Errorf("unknown operation %s", args[0])
	}
	return err
}

func measure(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	wall := time.Since(begin)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Printf("%.2f %.2f %.1f\n", wall.Seconds(), cpu.Seconds(), float64(usage.Maxrss)*1024/1e6)
	return nil
}
