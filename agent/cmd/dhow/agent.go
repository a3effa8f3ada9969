package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/daemon"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/installer"
)

func (s *shell) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:  "agent",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return installer.Serve(cmd.Context(), s.agent)
		},
	}
}

func (s *shell) agent(ctx context.Context) error {
	paths := s.paths()
	log := newLog(paths, s.err)
	config, err := s.agentConfig(log)
	if err != nil {
		return err
	}
	first, err := site.ParseSchedule(config.Fetch, config.TimeZone, config.Site)
	if err != nil {
		return err
	}
	go installer.Report(ctx, s.lives)
	parts := &wiring{paths: paths, config: config, log: log}
	defer parts.close()
	return daemon.New(daemon.Options{
		Paths:    paths,
		Manager:  func() (daemon.Manager, error) { return newManager(parts) },
		Next:     func(now time.Time) time.Time { return parts.schedule(first).Next(now) },
		Soon:     first.Soon(),
		Line:     parts.line,
		Beside:   parts.beside,
		Warnings: parts.warnings,
		Log:      log,
		Now:      fault.Now,
	}).Run(ctx)
}

// agentConfig is the configuration, or while that has a mistake the one with which the agent last started: a site must not lose its agent, and the page
// that says what is wrong, to a slip of somebody's finger. Status says the mistake until it is corrected.
func (s *shell) agentConfig(log *slog.Logger) (*site.Config, error) {
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
	if err != nil {
		return nil, err
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
