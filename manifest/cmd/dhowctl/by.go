package main

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"
)

// byVariable names who signs, where a computer is shared.
const byVariable = "DHOWCTL_BY"

// by is who runs this command, for the history of the fleet: $DHOWCTL_BY, else the name that git would write, else the login name.
func by(ctx context.Context, dir string) string {
	if name := os.Getenv(byVariable); name != "" {
		return name
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// A computer without git, or a git without a name, is no reason to fail.
	if out, err := exec.CommandContext(ctx, "git", "-C", dir, "config", "user.name").Output(); err == nil {
		if name := strings.TrimSpace(string(out)); name != "" {
			return name
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
