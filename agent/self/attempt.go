package self

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// verdict is how one attempt ended.
type verdict struct {
	sort   sort
	reason string
}

type sort int

const (
	stopped sort = iota // the service was stopped
	proven
	crashed // it ended, or could not begin
	hung    // the time was over
	offline // the time was over, and only the sources were missing, or the engine was, for the starter, too
)

func (s sort) String() string {
	return [...]string{"stopped", "proven", "crashed", "hung", "offline"}[s]
}

// feed is how often the service manager's watchdog is fed, and the time is looked at.
const feed = time.Second

// awayWithin is how long the engine is waited for, in which nobody listens to the candidate.
const awayWithin = 5 * time.Second

// attempt runs the candidate until it has proven itself, has ended, or the time is over. Nothing of it runs when attempt returns.
func (a *Agent) attempt(ctx context.Context, t *Trial) verdict {
	a.o.Notify("READY=1\nSTATUS=trying the new program " + t.To.Version)
	c, err := a.begin(t)
	if err != nil {
		return verdict{crashed, "it can't be executed: " + strings.TrimPrefix(err.Error(), "fork/exec "+a.candidate()+": ")}
	}
	defer c.end(a.o.Stop, a.o.Notify)
	began, heard := time.Now(), time.Now()
	var well time.Time                        // since when, without a gap
	unwell, away := "it has said nothing", "" // away is what it said when the engine did not answer the starter either
	tick := time.NewTicker(min(feed, a.o.Settle/4+time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return verdict{stopped, ""}
		case line, open := <-c.lines:
			if !open {
				return verdict{crashed, c.ended()}
			}
			heard = time.Now()
			switch word, why, _ := strings.Cut(line, " "); word {
			case saysWell:
				if well.IsZero() {
					well, unwell = heard, "it was not well for "+a.o.Settle.String()
				}
			case saysUnwell:
				well, unwell = time.Time{}, plain(why)
				if !strings.HasPrefix(unwell, noEngine) {
					away = ""
				} else if away == "" && a.engineAway(ctx) {
					away = unwell
				}
			}
		case <-tick.C:
			a.o.Notify("WATCHDOG=1")
		}
		now := time.Now()
		if now.Sub(heard) > a.o.Silence && !well.IsZero() {
			well, unwell, away = time.Time{}, "it has fallen silent", ""
		}
		switch {
		case !well.IsZero() && heard.Sub(well) >= a.o.Settle:
			return verdict{proven, ""}
		case now.Sub(began) < a.o.Limit:
		case strings.HasPrefix(unwell, noSource):
			return verdict{offline, unwell}
		case away != "":
			return verdict{offline, away}
		default:
			return verdict{hung, fmt.Sprintf("it did not prove itself within %v: %s", a.o.Limit, unwell)}
		}
	}
}

// engineAway reports whether the engine does not answer this program either.
func (a *Agent) engineAway(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, awayWithin)
	defer cancel()
	return a.o.Away(ctx)
}

// child is a candidate that runs.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   io.ReadCloser
	lines chan string // what it says; closed when it has ended
	done  chan struct{}
	err   error // of Wait
	last  *tail
}

// begin starts the candidate.
func (a *Agent) begin(t *Trial) (*child, error) {
	cmd := exec.Command(a.candidate(), a.o.Args...)
	cmd.Env = append(without(os.Environ(), "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", trialEnv), trialEnv+"="+t.Expect.words())
	c := &child{cmd: cmd, lines: make(chan string, 16), done: make(chan struct{}), last: &tail{}}
	cmd.Stderr, cmd.WaitDelay = io.MultiWriter(os.Stderr, c.last), time.Second
	dieWithParent(cmd)
	var err error
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = out
	started := make(chan error, 1)
	go func() { // on one thread: the kernel ends the child with the thread that began it
		defer lockThread()()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.listen()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// listen reads what the candidate says, and waits for its end.
func (c *child) listen() {
	defer close(c.lines)
	scanner := bufio.NewScanner(c.out)
	for scanner.Scan() {
		select {
		case c.lines <- scanner.Text():
		case <-c.done:
		}
	}
	if scanner.Err() != nil { // a line that is too long
		_ = c.cmd.Process.Kill()
	}
	c.err = c.cmd.Wait()
}

// ended says how the candidate ended by itself.
func (c *child) ended() string {
	if c.err == nil {
		return "it ended by itself"
	}
	return "it ended: " + withLast(c.err, c.last).Error()
}

// end stops the candidate and waits until it is gone.
func (c *child) end(patience time.Duration, tell func(string)) {
	close(c.done)
	_ = c.stdin.Close()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(patience, func() {
		_ = c.cmd.Process.Kill()
		_ = c.out.Close() // others may hold its other end
	})
	defer kill.Stop()
	tick := time.NewTicker(feed)
	defer tick.Stop()
	for {
		select {
		case _, open := <-c.lines:
			if !open {
				return
			}
		case <-tick.C:
			tell("WATCHDOG=1")
		}
	}
}

func without(env []string, names ...string) (rest []string) {
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		keep := true
		for _, n := range names {
			keep = keep && n != name
		}
		if keep {
			rest = append(rest, e)
		}
	}
	return rest
}
