package main

import (
	"context"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/database"
)

// fixLock is the name of what releases locks.
const fixLock = "migration-lock"

// releaseLocks releases the locks that nobody can need any more, after a person has agreed. It looks again right before: the row is changed only while
// it is as it was seen.
func (s *shell) releaseLocks(ctx context.Context, p *patient, yes bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	seen := p.stack(ctx)
	r := s.words
	switch {
	case seen == nil:
		return p.configErr
	case seen.err != nil:
		return api.Fail(api.CodeRefused, "start the engine, for instance: systemctl start docker", "%v", seen.err).In("engine_trouble", "cause", seen.err.Error())
	case seen.listErr != nil:
		return api.Fail(api.CodeInternal, "look at it with: dhow doctor", "%v", seen.listErr).In("lock_trouble", "cause", seen.listErr.Error())
	case seen.busy():
		return api.Fail(api.CodeBusy, "follow it with: dhow status", "an update is under way: its migration may hold the lock").In("lock_busy")
	case seen.running == nil:
		return api.Fail(api.CodeRefused, "look at it with: dhow doctor", "no release of dhow runs here").In("lock_none")
	}
	var all []foundLock
	for _, server := range seen.running.Servers(seen.containers) {
		if !seen.runs(server.Container) {
			continue
		}
		found, err := p.locksOf(ctx, server)
		if err != nil {
			return api.Fail(api.CodeInternal, "look at it with: dhow doctor", "%v", err).In("lock_trouble", "cause", err.Error())
		}
		all = append(all, found...)
	}
	var free []foundLock
	kept := 0
	for _, l := range all {
		for _, f := range l.finding() {
			text, remedy := f.in(r)
			if l.free() {
				free = append(free, l)
				s.printf("%s\n", text)
				continue
			}
			kept++
			s.printf("%s\n             %s\n", text, r.Say("doctor.remedy", "remedy", remedy))
		}
	}
	if len(free) == 0 {
		if kept > 0 {
			return api.Fail(api.CodeRefused, "see above", "no lock can be released now").In("lock_kept")
		}
		s.printf("%s\n", r.Say("doctor.fix.nothing"))
		return nil
	}
	if !yes {
		answer, ok := s.ask(r.Say("doctor.fix.ask") + " ")
		if !ok || !agrees(answer) {
			return api.Fail(api.CodeNotConfirmed, "use a terminal, or --yes", "not confirmed; nothing was done").In("not_asked")
		}
	}
	for _, l := range free {
		if err := p.releaseLock(ctx, l); err != nil {
			return err
		}
		s.printf("%s\n", r.Say("doctor.fix.done", "database", l.Database, "service", l.server.Service))
	}
	return nil
}

// releaseLock looks once more, and releases a lock.
func (p *patient) releaseLock(ctx context.Context, l foundLock) error {
	now, err := p.locksOf(ctx, l.server)
	if err != nil {
		return api.Fail(api.CodeInternal, "look at it with: dhow doctor", "%v", err).In("lock_trouble", "cause", err.Error())
	}
	for _, n := range now {
		if n.Tool != l.Tool || n.Database != l.Database || n.Table != l.Table {
			continue
		}
		if !n.free() {
			break
		}
		done, err := database.Release(ctx, p.seen.docker.Exec, l.server, n.Lock)
		if err != nil {
			return api.Fail(api.CodeInternal, "look at it with: dhow doctor", "%v", err).In("lock_trouble", "cause", err.Error())
		}
		if done {
			return nil
		}
		break
	}
	return api.Fail(api.CodeRefused, "look at it with: dhow doctor", "somebody else has taken the lock in database %s meanwhile, or released it", l.Database).
		In("lock_taken", "database", l.Database)
}

// agrees reports whether an answer means yes, in the languages of package words.
func agrees(answer string) bool {
	switch strings.ToLower(answer) {
	case "y", "yes", "o", "oui", "s", "sim", "sí", "si", "ndiyo", "w", "wi", "نعم", "ن":
		return true
	}
	return false
}
