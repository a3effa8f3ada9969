package installer

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notify tells systemd something about this service: "READY=1", "STATUS=…", "WATCHDOG=1", several with a newline between. Elsewhere
// it does nothing. See sd_notify(3): one datagram to the socket that $NOTIFY_SOCKET names, "@" standing for an abstract one.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// The name "@…" is an abstract socket for package net, too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot talk to systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("cannot talk to systemd: %w", err)
	}
	return nil
}

// Watchdog is how long systemd lets this service be silent before it kills it; 0 means for ever. $WATCHDOG_PID is not looked at: the agent
// keeps its process over a change of its program.
func Watchdog() time.Duration {
	n, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || n <= 0 || n > int64(time.Hour/time.Microsecond)*24 {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Report tells systemd how the service is until ctx ends: that it is ready, once ask has answered; from then on its state in words, and that it lives, as
// often as ask answers. Ask must go the way that people's questions go: an agent whose socket does not answer is a dead one, whatever else in
// it still runs. Where no systemd listens Report returns at once.
func Report(ctx context.Context, ask func(context.Context) (state string, err error)) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	report(ctx, Watchdog(), ask, func(state string) { _ = Notify(state) }) // when systemd itself is away, nobody is there to be told
}

const (
	readyEvery = 100 * time.Millisecond // how often ask is tried until it answers first
	sayEvery   = 30 * time.Second       // how often it is asked afterwards, at most
)

func report(ctx context.Context, watchdog time.Duration, ask func(context.Context) (string, error), tell func(string)) {
	every, patience := sayEvery, time.Minute
	if watchdog > 0 {
		// Three answers in a row have to fail, or one to take all the time.
		every, patience = min(every, watchdog/4), watchdog/2
	}
	wait := readyEvery
	word := "READY=1\nWATCHDOG=1"
	for {
		select {
		case <-ctx.Done():
			// Not STOPPING=1: an agent that executes a new program goes on, and systemd would kill it.
			tell("STATUS=stopping")
			return
		case <-time.After(wait):
		}
		answer, cancel := context.WithTimeout(ctx, patience)
		state, err := ask(answer)
		cancel()
		if err != nil {
			continue
		}
		tell(word + "\nSTATUS=" + strings.ReplaceAll(state, "\n", " "))
		word, wait = "WATCHDOG=1", every
	}
}
