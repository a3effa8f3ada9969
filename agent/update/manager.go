package update

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/doors"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/journal"
	"dhow/agent/self"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// Parts are what a Manager works with. All fields but the last three are required.
type Parts struct {
	Paths   site.Paths
	Config  *site.Config
	Journal *journal.Journal
	Store   *bundle.Store
	Archive *archive.Archive
	Trust   *trust.Client
	Network *fetch.Network
	Engine  *engine.Engine
	Compose *stack.Compose
	Log     *slog.Logger
	Now     func() time.Time
	Version string // of this program, for reports; may be empty
	// Self is the agent as a file; nil leaves it as it is. Trial says that this program is on trial: see Try.
	Self  *self.Agent
	Trial bool
}

// Manager carries out what people and the schedule ask for, one change at a time.
type Manager struct {
	Parts
	runner *change.Runner
	wake   chan struct{}
	hub    hub

	asked atomic.Uint64 // how often the sources were asked
	down  atomic.Bool   // and how that ended last

	mistake atomic.Pointer[string] // in the configuration; it is said once

	mu      sync.Mutex
	running uint64             // the change at work, 0 when idle
	cancel  func(change.Cause) // ends the run of that change
	doors   *doors.Doors       // closed doors, nil when open
	shut    since              // when this process closed the doors
	started uint64             // the change whose release this process has just started
	trouble string             // why Run can't go on at present
	away    uint64             // the change during which the engine was away last
	missing *shortage          // what the change at work misses
	short   *shortage          // what the last change missed

	put    putOff
	meter  meter  // of the line
	sticks sticks // that people have plugged in

	keyMu sync.Mutex
	key   ed25519.PrivateKey // see siteKey

	leaving   bool      // nothing begins any more: another program is tried
	agentLast string    // the program of the agent that could not be fetched last,
	agentNext time.Time // and is not fetched before, by the monotonic clock
	handNext  time.Time // and none is tried, likewise

	retryTrial bool      // a person wants a trial that waits to go on
	badState   sync.Once // the state of the program can't be read: it is said

	restless since     // data that do not hold still; only the runner's
	begun    time.Time // when this process began, by the monotonic clock
	backedUp time.Time // when it last began a backup
}

// lookEvery is how often an idle manager looks whether the window has opened. When the journal can't be written it tries again after
// firstPause, then after twice as long, and so on until that.
const (
	lookEvery  = 20 * time.Second
	firstPause = time.Second
)

// A release waits for the next try after it was refused here, and longer when users had to wait for nothing.
const (
	pauseAfterRefusal  = 30 * time.Minute
	pauseAfterDowntime = 6 * time.Hour
)

// New makes a manager. Nothing happens before Run.
func New(p Parts) *Manager {
	m := &Manager{Parts: p, wake: make(chan struct{}, 1), begun: time.Now()}
	m.waitWithTrial()
	m.hub.init()
	m.runner = &change.Runner{
		Kinds: m.kinds(), Journal: p.Journal, Now: m.stamp, Observer: m.hub.publish, Fault: fault.Step, Redact: m.masked,
	}
	return m
}

// config is the configuration as it is now, with the fleet's policy where it says nothing: hours and sources that somebody changes count at
// once. While it can't be read the one of the start counts.
func (m *Manager) config() *site.Config {
	c, err := site.LoadConfig(m.Paths.Config())
	if err != nil {
		if said := err.Error(); m.mistake.Swap(&said) == nil {
			m.Log.Warn("the configuration can't be read, so the old one counts", "error", err)
		}
		c = m.Config
	} else {
		m.mistake.Store(nil)
	}
	return layered(*c, m.policy())
}

// Run finishes what was interrupted and then works off what is asked, until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	if m.Trial {
		<-ctx.Done()
		return nil
	}
	once := []func(context.Context) error{m.tellTrial, m.tidyUp, m.adoptIfAsked, m.restoreIfAsked}
	pause := firstPause
	for ctx.Err() == nil {
		var errs []error
		once = slices.DeleteFunc(once, func(do func(context.Context) error) bool {
			err := do(ctx)
			errs = append(errs, err)
			return err == nil
		})
		worked, err := m.work(ctx)
		if !worked && err == nil && len(once) == 0 {
			over, herr := m.handOver(ctx)
			if over {
				return errors.Join(ErrHandOver, herr)
			}
			err = herr
		}
		err = errors.Join(append(errs, err)...)
		m.setTrouble(err)
		if worked && err == nil {
			pause = firstPause
			continue
		}
		wait := lookEvery
		if err != nil && ctx.Err() == nil {
			// The journal can't be written or the change can't be read: nothing was done that it does not know of. Say it and try again.
			m.Log.Error("cannot go on; trying again", "error", m.masked(err.Error()))
			wait, pause = pause, min(2*pause, lookEvery)
		} else {
			pause = firstPause
			if m.waitsForRoom() {
				wait = shortLook
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doors != nil {
		return m.doors.Open()
	}
	return nil
}

// Reached returns how often the sources have been asked since the start, and whether none answered last or a transfer broke off. A stick that
// a person has brought does not count.
func (m *Manager) Reached() (asked uint64, down bool) { return m.asked.Load(), m.down.Load() }

func (m *Manager) reached(down bool) {
	m.down.Store(down)
	m.asked.Add(1)
}

// setTrouble keeps for status why nothing goes on.
func (m *Manager) setTrouble(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trouble = ""; err != nil && !errors.Is(err, context.Canceled) {
		m.trouble = m.masked(err.Error())
	}
}

// tidyUp finishes what a stop in the middle of tidying has left.
func (m *Manager) tidyUp(ctx context.Context) error {
	if err := durable.Clean(m.Paths.State()); err != nil {
		return err
	}
	list, err := m.Journal.Changes(func(c *change.Change) bool { return !c.Finished.IsZero() && !c.Cleaned })
	if err != nil || len(list) == 0 {
		return err
	}
	if c, err := m.unfinished(); err != nil || c != nil {
		return err // what is under way tidies up at its own end
	}
	for _, c := range list {
		if err := m.runner.Run(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// work runs the oldest unfinished change, or starts what is due. It reports whether there was something to do.
func (m *Manager) work(ctx context.Context) (bool, error) {
	c, err := m.unfinished()
	if err != nil {
		return false, err
	}
	for _, start := range []func() (*change.Change, error){
		m.startDue,
		func() (*change.Change, error) { return m.startRoutine(false) },
		m.startWaiting,
		m.startAgent,
		func() (*change.Change, error) { return m.startRoutine(true) },
	} {
		if c != nil {
			break
		}
		if c, err = start(); err != nil {
			return false, err
		}
	}
	if c == nil {
		return false, m.settleTally()
	}
	run, cancel := context.WithCancelCause(fault.Mark(ctx))
	defer cancel(nil)
	stop := func(cause change.Cause) { cancel(&stopped{cause}) }
	if way, err := givesWay(c, true); err != nil {
		return false, err
	} else if way && c.Cause == nil {
		done := make(chan struct{})
		defer close(done)
		go m.watchDue(done, c, stop)
	}
	m.mu.Lock()
	m.running, m.cancel = c.ID, stop
	m.mu.Unlock()
	if readsHere(c) {
		m.sticks.yield()
	}
	m.Log.Info("change begins or goes on", "change", c.ID, "kind", c.Kind)
	watch, unwatch := context.WithCancel(ctx)
	defer unwatch()
	go m.watchEngine(watch, c.ID)
	err = m.runner.Run(run, c)
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil
		if c.Cause == nil {
			cause := replaced
			if s := (*stopped)(nil); errors.As(context.Cause(run), &s) {
				cause = s.Cause
			}
			err = m.runner.Abandon(c, cause)
		}
	}
	if err == nil {
		err = m.after(c)
	}
	m.mu.Lock()
	m.running, m.cancel = 0, nil
	m.mu.Unlock()
	m.hub.wake()
	m.sticks.wake()
	debug.FreeOSMemory() // the next change may be a month away, and the computer is small
	return true, err
}

// after tells what became of a change and begins what follows from it.
func (m *Manager) after(c *change.Change) error {
	log := m.Log.With("change", c.ID, "kind", c.Kind, "status", c.Status())
	if c.Cause != nil {
		log = log.With("step", c.Cause.Step, "class", c.Cause.Class, "reason", c.Cause.Message)
	}
	log.Info("change ended", "steps", durations(c))
	if c.Finished.IsZero() {
		return nil
	}
	m.reckon(c)
	if err := m.settleTally(); err != nil {
		return err
	}
	if c.Kind == KindAgent && c.Cause != nil {
		if err := m.pauseAgent(c); err != nil {
			return err
		}
	}
	if c.Kind != KindFetch {
		return m.forget()
	}
	if _, err := m.startDue(); err != nil {
		return err
	}
	return m.forget()
}

// durations says how long every step took.
func durations(c *change.Change) string {
	var list []string
	for _, s := range c.Steps {
		if !s.Finished.IsZero() {
			list = append(list, fmt.Sprintf("%s %.1fs", s.Name, s.Finished.Sub(s.Started).Seconds()))
		}
	}
	return strings.Join(list, ", ")
}

// unfinished returns the oldest change that is not at its end. Cleanups that failed are tried when the agent starts or a change ends.
func (m *Manager) unfinished() (*change.Change, error) {
	list, err := m.Journal.Changes(func(c *change.Change) bool { return c.Finished.IsZero() })
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[len(list)-1], nil
}
