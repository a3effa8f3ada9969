//go:build faults

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Point fails here when $DHOW_FAULT asks for it, once.
func Point(name string) error {
	if trace := os.Getenv("DHOW_FAULT_TRACE"); trace != "" {
		if f, err := os.OpenFile(trace, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, name)
			_ = f.Close()
		}
	}
	for _, want := range strings.Split(os.Getenv("DHOW_FAULT"), ",") {
		point, action, _ := strings.Cut(want, ":")
		if point != name || !first(name) {
			continue
		}
		switch action {
		case "kill":
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		case "panic":
			panic("fault " + name)
		case "enospc":
			return fmt.Errorf("fault %s: %w", name, syscall.ENOSPC)
		case "eio":
			return fmt.Errorf("fault %s: %w", name, syscall.EIO)
		}
	}
	return nil
}

// first reports whether the point has not acted yet, and notes that it has.
func first(name string) bool {
	dir := os.Getenv("DHOW_FAULT_DIR")
	if dir == "" {
		return true
	}
	f, err := os.OpenFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "_")), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
