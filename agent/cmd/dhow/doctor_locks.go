package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"dhow/agent/database"
	"dhow/agent/engine"
)

// foundLock is a lock in a database of the stack, with what is known of whoever holds it.
type foundLock struct {
	database.Lock
	server database.Server
	// holder is the running container that has it.
	holder string
	// own says that this computer itself has it, or that nothing tells who has.
	unknown bool
}

// lockTime bounds looking at one server.
const lockTime = 10 * time.Second

// checkLocks looks for what a migration that was killed has left in the databases: the application waits for it, and then does not start.
func checkLocks(ctx context.Context, p *patient) (list []finding) {
	s := p.stack(ctx)
	if !s.ok() {
		return nil
	}
	for _, server := range s.running.Servers(s.containers) {
		if !s.runs(server.Container) {
			continue // the check of the stack says so
		}
		found, err := p.locksOf(ctx, server)
		switch {
		case err != nil:
			list = append(list, said(isWarning, "database.unknown", err.Error(), databaseRemedy(err), "service", server.Service)...)
		case len(found) == 0:
			list = append(list, good("doctor.database.good", "service", server.Service)...)
		}
		for _, l := range found {
			list = append(list, l.finding()...)
		}
	}
	return list
}

func databaseRemedy(err error) string {
	switch {
	case errors.Is(err, database.ErrPassword), errors.Is(err, database.ErrNoPassword):
		return "doctor.database.password"
	case errors.Is(err, database.ErrNotAnswering):
		return "doctor.database.logs"
	}
	return ""
}

func (s *stackSeen) runs(container string) bool {
	for _, c := range s.containers {
		if c.ID == container {
			return c.State == "running"
		}
	}
	return false
}

func (p *patient) locksOf(ctx context.Context, server database.Server) (list []foundLock, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	locks, err := database.Locks(ctx, p.seen.docker.Exec, server)
	for _, l := range locks {
		list = append(list, identify(l, server, p.seen.containers))
	}
	return list, err
}

// identify finds out who holds a lock. Liquibase writes "HOST (ADDRESS)", where the host of a container is, if nobody says otherwise, the beginning of its
// id. The address alone tells nothing: the next container may have got it.
func identify(l database.Lock, server database.Server, containers []engine.Container) foundLock {
	f := foundLock{Lock: l, server: server}
	host, _, _ := strings.Cut(l.Holder, " (")
	if l.Tool != database.Liquibase {
		f.unknown = true
		return f
	}
	for _, c := range containers {
		if c.State == "running" && host != "" && (c.Host == host || c.Name == host || len(host) >= 12 && strings.HasPrefix(c.ID, host)) {
			f.holder = c.Name
		}
	}
	own, _ := os.Hostname()
	f.unknown = host == "" || host == "localhost" || host == own
	return f
}

// writers and others count the connections that change something now, and all.
func (f foundLock) writers() (n int) {
	for _, s := range f.Sessions {
		if s.Writes {
			n++
		}
	}
	return n
}

// free reports whether nobody can need the lock any more: whoever has it does not run, and nothing is changed in the database. Where nothing tells who
// has it, nobody else may be connected at all.
func (f foundLock) free() bool {
	return !f.Held && f.Failed == "" && f.holder == "" && f.writers() == 0 && (!f.unknown || len(f.Sessions) == 0)
}

func (f foundLock) finding() []finding {
	tools := map[string]string{database.Liquibase: "Liquibase", database.HAPI: "HAPI FHIR", database.Flyway: "Flyway"}
	since := f.Since
	if t, err := time.Parse("2006-01-02 15:04:05", strings.SplitN(since, ".", 2)[0]); err == nil {
		since = t.Format("2006-01-02 15:04") // the same in every language, and without a zone, which the table does not tell
	}
	host, _, _ := strings.Cut(f.Holder, " (")
	args := []any{
		"tool", tools[f.Tool], "service", f.server.Service, "database", f.Database, "since", since, "host", host, "container", f.holder, "n", len(f.Sessions),
		"version", f.Failed, "fix", fixLock,
	}
	switch {
	case f.Failed != "":
		return bad("doctor.database.failed", "doctor.database.repair", args...)
	case f.Held:
		return warn("doctor.database.held", "doctor.database.wait", args...)
	case f.holder != "":
		return warn("doctor.database.working", "doctor.database.wait", args...)
	case !f.free() && f.unknown:
		return warn("doctor.database.used", "doctor.database.stop", args...)
	case !f.free():
		return bad("doctor.database.busy", "doctor.database.again", args...)
	case f.unknown:
		return bad("doctor.database.left", "doctor.database.fix", args...)
	}
	return bad("doctor.database.dead", "doctor.database.fix", args...)
}
