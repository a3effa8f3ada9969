// Package health decides whether a stack works: Wait looks at the states that the engine reports, Check asks the stack itself
// over HTTP or SQL.
//
// It asks nobody directly: states, addresses and queries come through functions that the caller gives. It starts and stops
// nothing.
package health

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Service is one container of the stack as the engine reports it. State is the engine's word (created, running, paused,
// restarting, removing, exited, dead); Health is "", none, starting, healthy or unhealthy; HealthLog is the output of the last
// health check. OneShot marks a service that is meant to end.
type Service struct {
	Name, State, Health, HealthLog string
	ExitCode, Restarts             int
	OneShot                        bool
}

// Done reports whether it is meant to end, and has ended well.
func (s Service) Done() bool {
	return s.OneShot && s.ExitCode == 0 && (s.State == "exited" || s.State == "dead")
}

// Ill reports whether it does not do its work now. What starts is not ill.
func (s Service) Ill() bool { return !s.Done() && (s.State != "running" || s.Health == "unhealthy") }

// Options of Wait. Within is the time for the whole stack (default 10 minutes); Settle is how long a service without a health
// check must run without a restart (default 5 seconds).
type Options struct {
	Within, Settle time.Duration
}

const (
	defaultWithin = 10 * time.Minute
	defaultSettle = 5 * time.Second
	defaultCheck  = 2 * time.Minute

	firstPause = 100 * time.Millisecond // users wait
	lastPause  = 2 * time.Second
)

// Failure says which service (or check) is why the stack does not work. Reason is a whole sentence for people, service included.
type Failure struct {
	Service, Reason string
}

func (f *Failure) Error() string { return f.Reason }

// Wait returns nil when every service runs and is healthy, or has run for o.Settle where it has no health check, and every
// one-shot has ended with 0. It returns a *Failure at once when a service that should run has ended, or a one-shot has ended
// with another code; else when o.Within is over. An engine that does not answer for a while is asked again. When ctx ends it
// returns ctx's error.
func Wait(ctx context.Context, list func(context.Context) ([]Service, error), o Options) error {
	if o.Within <= 0 {
		o.Within = defaultWithin
	}
	if o.Settle <= 0 {
		o.Settle = defaultSettle
	}
	w := watch{within: o.Within, settle: o.Settle, seen: map[string]*history{}}
	start := time.Now()
	for pause := firstPause; ; pause = min(pause*5/4, lastPause) {
		waiting, err := w.look(ctx, list)
		if err != nil {
			return err
		}
		if waiting == nil {
			return nil
		}
		left := o.Within - time.Since(start)
		if left <= 0 {
			return waiting
		}
		if err := sleep(ctx, min(pause, left)); err != nil {
			return err
		}
	}
}

// history is what was seen of a service before.
type history struct {
	steady   time.Time // since when it runs without a restart; zero when it does not
	restarts int
	now      bool // seen in this look
	ended    bool // a one-shot that did its work
}

type watch struct {
	within, settle time.Duration
	seen           map[string]*history
}

// look returns why the stack is not ready yet, nil when it is, and an error when it never will be.
func (w *watch) look(ctx context.Context, list func(context.Context) ([]Service, error)) (*Failure, error) {
	services, err := list(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return &Failure{Reason: fmt.Sprintf("the engine did not say how the services are: %v", err)}, nil
	}
	if len(services) == 0 {
		return &Failure{Reason: fmt.Sprintf("no service was there within %v", w.within)}, nil
	}
	for _, h := range w.seen {
		h.now = false
	}
	var waiting *Failure
	nth := map[string]int{} // a service may have several containers
	for _, s := range services {
		nth[s.Name]++
		failed, ready := w.judge(s, fmt.Sprint(s.Name, " ", nth[s.Name]))
		if failed != nil {
			return nil, failed
		}
		if ready == nil || waiting != nil && waiting.Service <= s.Name {
			continue
		}
		waiting = ready
	}
	for key, h := range w.seen {
		if !h.now && !h.ended {
			h.steady = time.Time{}
			name, _, _ := strings.Cut(key, " ")
			waiting = &Failure{name, fmt.Sprintf("%s has vanished", name)}
		}
	}
	return waiting, nil
}

// judge returns what makes the service hopeless, or else what is missing yet; two nils mean that it is ready.
func (w *watch) judge(s Service, key string) (failed, waiting *Failure) {
	h := w.seen[key]
	if h == nil {
		h = &history{restarts: s.Restarts}
		w.seen[key] = h
	}
	h.now = true
	ended := s.State == "exited" || s.State == "dead"
	switch {
	case s.Done():
		h.ended = true
		return nil, nil
	case ended:
		return &Failure{s.Name, fmt.Sprintf("%s ended with exit code %d%s", s.Name, s.ExitCode, quote(s.HealthLog))}, nil
	case s.OneShot:
		return nil, &Failure{s.Name, fmt.Sprintf("%s did not end in %v", s.Name, w.within)}
	}
	if s.State != "running" || s.Restarts > h.restarts || h.steady.IsZero() {
		h.steady = time.Time{}
		if s.State == "running" {
			h.steady = time.Now()
		}
		restarted := s.Restarts > h.restarts
		h.restarts = s.Restarts
		if s.State != "running" {
			return nil, &Failure{s.Name, fmt.Sprintf("%s is %s, not running, after %v%s", s.Name, s.State, w.within, quote(s.HealthLog))}
		}
		if restarted {
			return nil, &Failure{s.Name, fmt.Sprintf("%s keeps restarting%s", s.Name, quote(s.HealthLog))}
		}
	}
	switch s.Health {
	case "healthy":
		return nil, nil
	case "", "none":
		if time.Since(h.steady) >= w.settle {
			return nil, nil
		}
		return nil, &Failure{s.Name, fmt.Sprintf("%s did not run for %v without a restart in %v", s.Name, w.settle, w.within)}
	}
	return nil, &Failure{s.Name, fmt.Sprintf("%s did not become healthy in %v%s", s.Name, w.within, quote(s.HealthLog))}
}

// quote appends the first line of a log to a reason.
func quote(log string) string {
	if line := brief(log, 160); line != "" {
		return `: "` + line + `"`
	}
	return ""
}

// brief is the first line of text that holds anything, without control characters, at most max bytes long.
func brief(text string, max int) string {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, "")))
		if line == "" {
			continue
		}
		if len(line) > max {
			line = strings.ToValidUTF8(line[:max], "")
		}
		return line
	}
	return ""
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
