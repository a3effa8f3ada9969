package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/agent/update"
	"dhow/installer"
)

// removal is what the command line of uninstall asks for.
type removal struct {
	data    bool
	confirm string // the name of the site
}

func (s *shell) uninstallCommand() *cobra.Command {
	var r removal
	cmd := &cobra.Command{
		Use:  "uninstall",
		Long: "help.long.uninstall",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.uninstall(cmd.Context(), r) },
	}
	cmd.Flags().BoolVar(&r.data, "data", false, "help.flag.uninstall.data")
	cmd.Flags().StringVar(&r.confirm, "confirm", "", "help.flag.uninstall.confirm")
	return cmd
}

func (s *shell) uninstall(ctx context.Context, r removal) error {
	// Without its agent a site in the middle of an update stays closed to its users.
	if err := s.idle(ctx, 0, time.Second); api.Code(err) == api.CodeBusy {
		return api.Fail(api.CodeBusy, "wait for its end: dhow status; or stop the agent first", "an update or a backup is under way; nothing was removed").In("install-busy")
	}
	var all *everything
	if r.data {
		var err error
		if all, err = s.everything(ctx, r); err != nil {
			return err
		}
	}
	if s.prefix == "" {
		if os.Geteuid() > 0 {
			return api.Fail(api.CodeUsage, "try it with sudo", "only root can uninstall dhow").In("install-unroot")
		}
		switch err := installer.Uninstall(); {
		case errors.Is(err, installer.ErrNoInit):
			s.sayln("install.un_none")
		case err != nil:
			return err
		default:
			s.sayln("install.un_service")
		}
	} else {
		s.sayln("install.un_prefix")
	}
	if all != nil {
		if err := s.removeAll(ctx, all); err != nil {
			return err
		}
	}
	if s.prefix == "" { // last: what fails or is broken off before can be repeated
		if err := errors.Join(installer.RemoveDesktop(installer.Caller()), installer.RemoveProgram()); err != nil {
			return err
		}
		if command := installer.Owner(); command != "" {
			s.sayln("install.un_package", "command", command)
		}
	}
	if all != nil {
		return nil
	}
	s.sayln("install.un_stays")
	p := s.paths()
	for _, f := range []struct{ path, what string }{
		{p.Config(), "install.un_config"},
		{p.Settings(), "install.un_settings"},
		{p.State(), "install.un_state"},
	} {
		if _, err := os.Stat(f.path); err == nil {
			s.printf("  %s   %s\n", f.path, s.say(f.what))
		}
	}
	return nil
}

// everything is what goes with --data.
type everything struct {
	project string // "" when no stack is known
	engine  *engine.Engine
	compose *stack.Compose
	volumes []string
}

// everything finds out what there is, and asks for the second word. The agent knows what runs best, so it is asked while it runs.
func (s *shell) everything(ctx context.Context, r removal) (*everything, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	all := &everything{project: config.Project}
	if known, err := s.client().KnownGood(ctx); err == nil && known.Project != "" {
		if all.project = known.Project; known.Busy {
			return nil, api.Fail(api.CodeBusy, "wait for its end: dhow status", "another change is under way; nothing was removed").In("busy_kept")
		}
	} else if all.project == "" {
		all.project = s.stagedProject(ctx)
	}
	address, err := engineOf(config)
	if err != nil {
		return nil, err
	}
	if all.engine, err = engine.Connect(address.Address); err != nil {
		return nil, err
	}
	if all.compose, err = stack.New(address.Address); err != nil {
		return nil, err
	}
	if all.project != "" {
		ask, cancel := context.WithTimeout(ctx, engineWithin)
		defer cancel()
		if _, err = all.engine.Info(ask); err == nil {
			all.volumes, err = all.engine.Volumes(ask, all.project)
		}
		if err != nil {
			return nil, engineEnds(ctx, err)
		}
	}
	answer := r.confirm
	if answer == "" {
		var asked bool
		if answer, asked = s.ask(s.say("install.un_ask", "site", config.Site) + " "); !asked {
			return nil, api.Fail(api.CodeNotConfirmed, "add --confirm "+config.Site, "all data of site %s would be removed; not confirmed, nothing was done", config.Site).
				In("install-remove", "site", config.Site)
		}
	}
	if answer != config.Site {
		return nil, api.Fail(api.CodeNotConfirmed, "type the name of the site exactly: "+config.Site, "not confirmed; nothing was done").
			In("install-name", "site", config.Site)
	}
	return all, nil
}

// engineWithin is how long the engine may take to say what is there. Shorter in tests.
var engineWithin = 30 * time.Second

// stagedProject is that of the release that was put here last: after an uninstall that was broken off there is no agent to ask.
func (s *shell) stagedProject(ctx context.Context) string {
	folders, _ := update.StagedFolders(s.paths())
	for _, dir := range folders {
		if staged, err := update.ReadStaged(ctx, dir); err == nil {
			return staged.Project.Name()
		}
	}
	return ""
}

// engineEnds puts words to the end of an engine, or its silence, which is not the end of ctx.
func engineEnds(ctx context.Context, err error) error {
	silent := errors.Is(err, engine.ErrNotRunning) || errors.Is(err, stack.ErrNotRunning) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if err == nil || ctx.Err() != nil || !silent {
		return err
	}
	command := installer.ServiceCommand("restart", "docker")
	return api.Fail(api.CodeRefused, "restart it: "+command+"; then repeat this command", "the Docker Engine does not answer: the stack and its data can't be removed").
		In("install-un_engine", "command", command)
}

// removeGrace is how long a container of the stack may take to end.
const removeGrace = 30 * time.Second

func (s *shell) removeAll(ctx context.Context, all *everything) error {
	paths := s.paths()
	release, err := site.Lock(paths.LockFile())
	if errors.Is(err, site.ErrLocked) {
		return api.Fail(api.CodeBusy, "stop it first", "an agent is running at this site").In("agent_runs")
	}
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	if all.project != "" {
		if err := engineEnds(ctx, removeStack(ctx, all)); err != nil {
			return err
		}
		s.sayln("install.un_removed", "what", s.say("install.un_volumes"))
	}
	for _, dir := range []string{paths.State(), filepath.Dir(paths.Config()), paths.Run()} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		s.sayln("install.un_removed", "what", dir)
	}
	return nil
}

// removeStack ends when the engine does not answer any more.
func removeStack(ctx context.Context, all *everything) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		all.engine.Attend(ctx)
		cancel()
	}()
	if err := all.compose.Down(ctx, all.project, removeGrace); err != nil {
		return err
	}
	for _, v := range all.volumes {
		if err := all.engine.RemoveVolume(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
