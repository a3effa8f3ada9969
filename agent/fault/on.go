//go:build faults

package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// passed is where the process stands: the step at work and how often each point was passed in it and in all.
var passed = struct {
	sync.Mutex
	step   string
	counts map[string]int
}{counts: map[string]int{}}

// Point fails here when $DHOW_FAULT asks for it, once.
func Point(name string) error {
	passed.Lock()
	step := passed.step
	passed.Unlock()
	return point(name, step)
}

// Step is Point for the places of a step; what follows counts as within that step.
func Step(name string) error {
	step, _, _ := strings.Cut(name, "/")
	passed.Lock()
	passed.step = step
	passed.Unlock()
	return point(name, "")
}

func point(name, step string) error {
	within := name
	if step != "" {
		within += "@" + step
	}
	passed.Lock()
	passed.counts[name]++
	all := passed.counts[name]
	here := all
	if within != name {
		passed.counts[within]++
		here = passed.counts[within]
	}
	passed.Unlock()
	trace(within + "#" + strconv.Itoa(here))
	for _, want := range strings.Split(os.Getenv("DHOW_FAULT"), ",") {
		address, action, _ := strings.Cut(want, ":")
		if names(address, name, step, here, all) && first(address) {
			return act(address, action)
		}
	}
	return nil
}

// names reports whether an address means a point that is passed for the here-th time in its step, for the all-th time in all.
func names(address, name, step string, here, all int) bool {
	address, number, numbered := strings.Cut(address, "#")
	wanted, in, bound := strings.Cut(address, "@")
	if wanted != name || bound && in != step {
		return false
	}
	n, err := strconv.Atoi(number)
	return !numbered || err == nil && (bound && n == here || !bound && n == all)
}

func act(address, action string) error {
	switch action {
	case "kill":
		p, _ := os.FindProcess(os.Getpid())
		_ = p.Kill()
		select {}
	case "panic":
		panic("fault " + address)
	case "enospc":
		return fmt.Errorf("fault %s: %w", address, syscall.ENOSPC)
	case "eio":
		return fmt.Errorf("fault %s: %w", address, syscall.EIO)
	}
	return nil
}

// first reports whether the address has not acted yet, and notes that it has.
func first(address string) bool {
	dir := os.Getenv("DHOW_FAULT_DIR")
	if dir == "" {
		return true
	}
	f, err := os.OpenFile(filepath.Join(dir, strings.ReplaceAll(address, "/", "_")), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

func trace(line string) {
	file := os.Getenv("DHOW_FAULT_TRACE")
	if file == "" {
		return
	}
	if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintln(f, line)
		_ = f.Close()
	}
}

type marked struct{}

// Mark returns a context in which calls to the engine are points.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, marked{}, true) }

// Marked reports whether ctx comes from Mark.
func Marked(ctx context.Context) bool { return ctx.Value(marked{}) != nil }
