// Package daemon is the agent as a running program: one per site, answering on a unix socket, looking for news at its hours.
//
// It promises that a second agent on the same site is told so and touches nothing, that only root and the group dhow reach the socket,
// that every answer is JSON of bounded size in bounded time, that the sources are asked at the schedule, once soon after a start, and again
// for up to an hour while none answers, that a server's wish for a pause is heard, and that it stops quickly when told to: a change in the middle is left as it is, to be resumed at the next start. What an update is, and
// how it is done and undone, belongs to its Manager.
//
// The wire format stands in package api.
package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// Reader tells how the site is. Its methods answer at once, also while a change runs.
type Reader interface {
	Status(ctx context.Context) (api.Status, error)
	History(ctx context.Context) ([]api.Update, error)
	Backups(ctx context.Context) ([]api.Backup, error)
	KnownGood(ctx context.Context) (api.KnownGood, error)
	Report(ctx context.Context) (json.RawMessage, error)
}

// Changer begins changes and lets them be followed. Its methods return as soon as the change is recorded.
type Changer interface {
	Update(ctx context.Context, r api.UpdateRequest) (api.Started, error)
	PlanRollback(ctx context.Context, r api.RollbackRequest) (api.RollbackPlan, error)
	Rollback(ctx context.Context, r api.RollbackRequest) (api.Started, error)
	Backup(ctx context.Context, r api.BackupRequest) (api.Started, error)
	Bundle(ctx context.Context, r api.BundleRequest) (api.Started, error)
	Pause(ctx context.Context, r api.PauseRequest) (api.Paused, error)
	Resume(ctx context.Context) (api.Paused, error)
	Later(ctx context.Context, r api.LaterRequest) (api.Put, error)
	// Noted keeps that a person has taken note of how the update with a receipt ended.
	Noted(ctx context.Context, receipt string) error
	// Events sends the present state of a change and then what happens to it. The channel is closed after the event with End, or when
	// ctx ends.
	Events(ctx context.Context, change uint64) (<-chan api.Event, error)
}

// Worker does the work.
type Worker interface {
	// Check asks the sources for news; it is called at the schedule.
	Check(ctx context.Context) error
	// Run finishes what was interrupted, then works off what is asked. It returns when ctx ends, or with an error that makes it
	// impossible to go on, such as a journal that can't be written.
	Run(ctx context.Context) error
}

// Manager is what the daemon serves. Errors that reach people are *api.Error; others are told as they are, with api.CodeInternal.
type Manager interface {
	Reader
	Changer
	Worker
}

// Options are the parts of a Daemon. Manager is called only once the lock is held; what it opens is therefore opened once.
type Options struct {
	Paths   site.Paths
	Manager func() (Manager, error)
	// Next returns when to ask the sources after now; the zero time means never. It is asked again after every check, because a new
	// manifest may bring a new schedule.
	Next func(now time.Time) time.Time
	// Soon is how long after the start the sources are asked for the first time.
	Soon time.Duration
	// Line tells what the sources answered last; nil means that they always answer.
	Line func() Line
	// Beside runs beside the Manager once that is there, until ctx ends; nil means nothing. It is given what the socket is served from. Warn adds the warnings of what runs there to
	// Status; nil means none.
	Beside func(ctx context.Context, m Manager)
	Warn   func(*api.Status)
	// Busy is the answer to every order, such as while this program is on trial; nil means that they are taken.
	Busy error
	Log  *slog.Logger
	// Now is the wall clock; nil means time.Now. Rand is chance, from 0 to 1; nil means that of math/rand.
	Now  func() time.Time
	Rand func() float64
	// Group owns the socket beside root; empty means "dhow". A group that is not there leaves the socket to root alone.
	Group string
	// Grace is how long Run may take to stop; 0 means 30 seconds.
	Grace time.Duration
}

// Daemon is the agent.
type Daemon struct {
	o    Options
	poll *poller
}

// New makes a daemon; it does nothing until Run.
func New(o Options) *Daemon {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Line == nil {
		o.Line = func() Line { return Line{} }
	}
	if o.Beside == nil {
		o.Beside = func(context.Context, Manager) {}
	}
	if o.Warn == nil {
		o.Warn = func(*api.Status) {}
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Group == "" {
		o.Group = "dhow"
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	return &Daemon{o: o, poll: newPoller(o)}
}

// told is a Manager whose status holds what only the daemon knows.
type told struct {
	Manager
	poll *poller
	warn func(*api.Status)
	busy error // the answer to every order
}

// Status adds when the sources are asked next, and the warnings of what runs beside the Manager.
func (t told) Status(ctx context.Context) (api.Status, error) {
	status, err := t.Manager.Status(ctx)
	if err == nil && status.NextCheck == nil {
		status.NextCheck = t.poll.Next()
	}
	t.warn(&status)
	return status, err
}

// Poll is the part of a daemon's life that asks the sources, alone: it calls check at the schedule of o until ctx ends.
func Poll(ctx context.Context, o Options, check func(context.Context) error) {
	New(o).poll.run(ctx, check)
}

// Run is the agent's life. It returns nil when ctx has ended and everything has stopped.
func (d *Daemon) Run(ctx context.Context) error {
	if err := d.o.Paths.Make(); err != nil {
		return err
	}
	release, err := site.Lock(d.o.Paths.LockFile())
	if errors.Is(err, site.ErrLocked) {
		return api.Fail(api.CodeBusy, "look at it with: dhow status", "another agent is running at this site").In("agent_twice")
	}
	if err != nil {
		return err
	}
	defer func() { _ = release() }()

	m, err := d.o.Manager()
	if err != nil {
		return err
	}
	listener, err := listen(d.o.Paths, d.o.Group)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	told := told{Manager: m, poll: d.poll, warn: d.o.Warn, busy: d.o.Busy}
	srv := newServer(ctx, told, d.o.Log)
	d.poll.plan(d.o.Now().Round(0).Add(d.o.Soon)) // status may be asked at once
	served, worked, polled, beside := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(beside)
		d.o.Beside(ctx, told)
	}()
	go func() {
		defer close(served)
		if err := srv.Serve(listener); ctx.Err() == nil {
			cancel(fmt.Errorf("cannot serve the socket: %w", err))
		}
	}()
	go func() {
		defer close(worked)
		if err := m.Run(ctx); ctx.Err() == nil {
			if err == nil {
				err = errors.New("internal error: the worker stopped by itself")
			}
			cancel(err)
		}
	}()
	go func() {
		defer close(polled)
		d.poll.run(ctx, m.Check)
	}()
	d.o.Log.Info("agent started", "socket", d.o.Paths.Socket())

	<-ctx.Done()
	d.o.Log.Info("agent stopping")
	_ = srv.Close() // streams end; their followers come back
	<-served
	deadline := time.After(d.o.Grace)
	for _, done := range []chan struct{}{beside, worked, polled} {
		select {
		case <-done:
		case <-deadline:
			return fmt.Errorf("the change that runs did not stop within %v; it goes on at the next start", d.o.Grace)
		}
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	d.o.Log.Info("agent stopped")
	return nil
}
