package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/daemon"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/self"
	"dhow/agent/site"
	"dhow/agent/update"
	"dhow/installer"
)

func (s *shell) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "agent",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return installer.Serve(cmd.Context(), s.proven)
		},
	}
}

// Times of a trial of another program; 0 means what package self takes. Tests build programs with others:
// -ldflags "-X main.settle=5s -X main.limit=20s".
var settle, limit string

// executable finds the file of this program. Tests replace it.
var executable = self.Executable

// itself is the agent as a file. It is to be asked before anything may have replaced that.
func (s *shell) itself(log *slog.Logger) (*self.Agent, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	o := self.Options{
		Program: path, Folder: s.paths().Agent(), Version: version, Args: os.Args[1:], Log: log, Now: fault.Now,
		Notify: func(state string) { _ = installer.Notify(state) }, // when systemd itself is away, nobody is there to be told
		Away:   s.engineAway,
	}
	o.Settle, _ = time.ParseDuration(settle)
	o.Limit, _ = time.ParseDuration(limit)
	return self.New(o), nil
}

// engineAway reports whether the engine of the site does not answer this process.
func (s *shell) engineAway(ctx context.Context) bool {
	config, err := s.agentConfig(slog.New(slog.DiscardHandler), false)
	if err != nil {
		return false
	}
	docker, err := connect(config)
	if err != nil {
		return false
	}
	defer docker.Close()
	_, err = docker.Info(ctx)
	return errors.Is(err, engine.ErrNotRunning)
}

// proven is the program that the service runs: the starter of another one that is on trial, and then the agent. See package self.
func (s *shell) proven(ctx context.Context) error {
	expect, trial := self.OnTrial()
	log := newLog(s.paths(), s.err)
	itself, err := s.itself(log)
	if err != nil && trial {
		return err
	}
	if err != nil { // a site without /proc must not lose its agent for it
		log.Error("the agent runs and can't replace its own program", "error", err)
		return s.agent(ctx, log, nil, nil)
	}
	if trial {
		return s.onTrial(ctx, log, itself, expect)
	}
	switch itself.Start(ctx) {
	case self.Again:
		return itself.Exec()
	case self.Ending:
		return nil
	}
	told := context.AfterFunc(ctx, func() { itself.Ended(nil) }) // at once: who stops it may lose patience
	defer told()
	err = s.agent(ctx, log, itself, nil)
	over := errors.Is(err, update.ErrHandOver)
	if over || ctx.Err() != nil || notItself(err) {
		itself.Ended(nil)
	} else {
		itself.Ended(err)
	}
	if over {
		return itself.Exec()
	}
	return err
}

// notItself reports whether the agent has ended for something that any of its versions would have ended for: another one runs, or a person
// has made a mistake in the configuration.
func notItself(err error) bool {
	var mistake *site.ConfigError
	return err == nil || api.Code(err) == api.CodeBusy || errors.As(err, &mistake)
}

// onTrial is the agent, until the one who tries it says that it is enough.
func (s *shell) onTrial(ctx context.Context, log *slog.Logger, itself *self.Agent, expect self.Expect) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := s.out
	s.out = s.err
	return s.agent(ctx, log, itself, func(parts *wiring) {
		reached := false
		self.Prove(ctx, s.in, out, 3*time.Second, cancel, func(ctx context.Context) error {
			if _, err := s.client().Status(ctx); err != nil {
				return err
			}
			return parts.manager.Try(ctx, expect, &reached)
		})
	})
}

// agent is the agent. With prove it is on trial.
func (s *shell) agent(ctx context.Context, log *slog.Logger, itself *self.Agent, prove func(*wiring)) error {
	config, err := s.agentConfig(log, prove == nil)
	if err != nil {
		return err
	}
	paths := s.paths()
	first, err := site.ParseSchedule(config.Fetch, config.TimeZone, config.Site)
	if err != nil {
		return err
	}
	parts := &wiring{paths: paths, config: config, log: log, itself: itself, trial: prove != nil}
	defer parts.close()
	o := daemon.Options{
		Paths:   paths,
		Manager: func() (daemon.Manager, error) { return newManager(parts) },
		Next:    func(now time.Time) time.Time { return parts.schedule(first).Next(now) },
		Soon:    first.Soon(),
		Line:    parts.line,
		Beside:  parts.beside,
		Warn:    parts.warn,
		Log:     log,
		Now:     fault.Now,
	}
	if prove == nil {
		go installer.Report(ctx, s.lives)
	} else {
		o.Busy, o.Beside = update.ErrTrial, func(ctx context.Context, m daemon.Manager) {
			go prove(parts)
			parts.beside(ctx, m)
		}
	}
	return daemon.New(o).Run(ctx)
}

// agentConfig is the configuration, or while that has a mistake the one with which the agent last started: a site must not lose its agent, and the page
// that says what is wrong, to a slip of somebody's finger. Status says the mistake until it is corrected. With keep a good one is kept for that.
func (s *shell) agentConfig(log *slog.Logger, keep bool) (*site.Config, error) {
	good := s.paths().GoodConfig()
	config, err := s.config()
	var mistake *site.ConfigError
	if errors.As(err, &mistake) {
		last, lerr := site.LoadConfig(good)
		if lerr != nil {
			return nil, err
		}
		log.Error("the configuration can't be used, so the one of the last start counts", "error", err)
		return last, nil
	}
	if err != nil || !keep {
		return config, err
	}
	if err := site.CopyConfig(s.paths().Config(), good); err != nil {
		log.Warn("no copy of the configuration is kept", "error", err)
	}
	return config, nil
}

// lives asks the agent as people do, and says in words how the site is. An answer that is an error is a sign of life, too.
func (s *shell) lives(ctx context.Context) (string, error) {
	status, err := s.client().Status(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil || api.Code(err) == api.CodeNoAgent:
		return "", err
	default:
		return err.Error(), nil
	}
	if status.Release == "" {
		return fmt.Sprintf("%s: %s", status.Site, status.State), nil
	}
	return fmt.Sprintf("%s: %s, %s, %s", status.Site, status.Release, status.Health, status.State), nil
}
