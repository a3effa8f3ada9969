package main

import (
	"context"
	"errors"
	"time"

	"dhow/agent/api"
	"dhow/agent/page/guard"
	"dhow/agent/site"
	"dhow/installer"
)

// live makes the site run: program, group, service, launcher, and with a bundle the first release and the first backup. other says that the
// configuration or the settings are not what a running agent has read.
func (s *shell) live(ctx context.Context, config *site.Config, in installation, restored, other bool) error {
	program, newer, err := installer.PutProgram(ctx, version)
	if err != nil {
		return err
	}
	switch newer {
	case "":
	case installer.Unsaid:
		s.line("warning", "install.unsaid", "path", installer.Program)
	default:
		s.line("program", "install.newer", "version", newer)
	}
	group := s.settleGroup(in)
	running, err := s.awaitIdle(ctx, idleEvery) // something may have begun since
	if err != nil {
		return err
	}
	mine := version
	if newer != "" {
		mine = newer
	}
	if newer == installer.Unsaid && running != "" {
		mine = running
	}
	stale := running != "" && running != mine // whoever put the program in place did not come to the restart
	service, err := installer.Install(other || stale || program != installer.Kept || group != installer.Kept)
	if errors.Is(err, installer.ErrNoInit) {
		s.line("service", "install.no_init", "command", s.command("agent"))
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case service == installer.Made:
		s.line("service", "install.service_made", "version", mine)
	case service == installer.Repaired || stale || program != installer.Kept:
		s.line("service", "install.service_repaired", "version", mine)
	default:
		s.line("service", "install.service_kept")
	}
	address := s.settlePage(config, in)
	if err := s.begin(ctx, config, in, restored); err != nil {
		return err
	}
	if open := installer.Opener(address); open != nil && address != "" && terminal(s.in) {
		_ = open.Start() // the address is on the screen
	}
	return nil
}

// person is who sits at this computer, as far as that is known.
func person(in installation) string {
	if in.user != "" {
		return in.user
	}
	return installer.Caller()
}

// settleGroup lets the person use dhow without sudo, if that is wanted. A site works without that, so that it can't be done is only said.
func (s *shell) settleGroup(in installation) installer.Done {
	done, err := installer.MakeGroup()
	if err != nil {
		s.line("warning", "install.no_group", "cause", err)
		return installer.Kept
	}
	name := person(in)
	if name == "" || installer.InGroup(name) {
		return done
	}
	if in.user == "" && !in.yes {
		answer, asked := s.ask(s.lineOf("group", s.say("install.ask_group", "user", name)) + " [Y/n] ")
		if !asked || answer != "" && !yes(answer) {
			s.line("group", "install.not_in_group", "user", name)
			return done
		}
	}
	if err := installer.AddToGroup(name); err != nil {
		s.line("warning", "install.no_group", "cause", err)
		return done
	}
	s.line("group", "install.in_group", "user", name)
	return done
}

// settlePage makes the launcher and says where the page is; without a page the address is empty. What can't be done on a desktop is only said.
func (s *shell) settlePage(config *site.Config, in installation) (address string) {
	if config.Page.Off {
		if err := installer.RemoveDesktop(person(in)); err != nil {
			s.line("warning", "install.launcher_stays", "cause", err)
		}
		return ""
	}
	address = "http://" + guard.LocalAddress(config.Page)
	_, absent, err := installer.Desktop(address, person(in))
	if err == nil && !absent {
		s.line("page", "install.page_desktop", "address", address)
		return address
	}
	s.printf("%s\n", s.lineOf("page", address))
	if err != nil {
		s.line("warning", "install.no_launcher", "cause", err)
	}
	return address
}

// begin waits until the release of the bundle runs and has a backup.
func (s *shell) begin(ctx context.Context, config *site.Config, in installation, restored bool) error {
	if in.from == "" || restored {
		s.line("release", "install.later", "command", s.command("status"))
		return nil
	}
	if err := s.settled(ctx, config); err != nil {
		return err
	}
	before, err := s.client().Status(ctx)
	if err != nil {
		return err
	}
	s.line("release", "install.from", "path", in.from)
	if err := s.follow(ctx, false, func(c *api.Client) (api.Started, error) {
		return c.Update(ctx, api.UpdateRequest{From: in.from, Now: true})
	}); err != nil {
		return err
	}
	status, err := s.client().Status(ctx)
	if err != nil {
		return err
	}
	if status.Release == "" {
		return api.Fail(api.CodeUnwell, "look at it with: dhow status, dhow doctor", "no release runs yet").In("no_release_yet")
	}
	if status.Release != before.Release {
		s.line("release", "install.runs", "release", status.Release, "time", time.Now().Local().Format("15:04"))
	}
	return s.firstBackup(ctx, config)
}

// firstBackup makes one where there is none.
func (s *shell) firstBackup(ctx context.Context, config *site.Config) error {
	if config.Backup.At == site.Never {
		return nil
	}
	list, err := s.client().Backups(ctx)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.Sort == api.BackupPortable && b.Trouble == "" {
			return nil
		}
	}
	s.line("backup", "install.backup")
	return s.follow(ctx, false, func(c *api.Client) (api.Started, error) {
		return c.Backup(ctx, api.BackupRequest{Action: api.BackupCreate})
	})
}

// adoptTime is how long taking over a running stack may take.
const adoptTime = 10 * time.Minute

// settled waits until the agent answers and nothing is under way: it takes over a stack that runs, or goes on with what was interrupted.
func (s *shell) settled(ctx context.Context, config *site.Config) error {
	ctx, cancel := context.WithTimeout(ctx, adoptTime)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := s.client().Status(ctx)
		quiet := status.State == api.StateIdle || status.State == api.StateReady || status.State == api.StateNew && config.Adopt == nil
		if err == nil && quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = api.Fail(api.CodeBusy, "look at it with: dhow status", "another change is under way").In("busy_other")
			}
			return err
		case <-tick.C:
		}
	}
}
