package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"dhow/agent/backup"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/bundle/durable"
	"dhow/manifest"
)

// servers lists the databases of the running release with the containers that they run in. What an adopted stack holds is known from the
// release that follows it.
func (m *Manager) servers(p applyPlan, containers []engine.Container) ([]database.Server, error) {
	if p.From == nil {
		return nil, nil
	}
	g := *p.From
	if g.Dir != "" {
		g = p.To
	}
	r, err := m.releaseOf(g)
	if err != nil {
		return nil, err
	}
	return serversOf(r, containers), nil
}

func serversOf(r *manifest.Release, containers []engine.Container) []database.Server {
	var list []database.Server
	for _, db := range r.Databases {
		for _, c := range containers {
			if c.Service == db.Service && !c.OneOff {
				list = append(list, database.Server{
					Service: db.Service, Container: c.ID, Engine: db.Engine, User: db.User, PasswordEnv: db.PasswordEnv, Databases: db.Databases,
				})
			}
		}
	}
	return list
}

// previous asks the running release what the checks of the new one compare with. An answer that can't be had is left out: the table may be new.
func (m *Manager) previous(ctx context.Context, r *manifest.Release, servers []database.Server) map[string]string {
	answers := map[string]string{}
	for _, c := range r.Checks {
		i := slices.IndexFunc(servers, func(s database.Server) bool { return s.Service == c.SQL })
		if c.SQL == "" || c.AtLeast != "previous" || i < 0 {
			continue
		}
		if answer, err := database.Query(ctx, m.Engine.Exec, servers[i], c.Query); err == nil {
			answers[c.Name] = answer
		}
	}
	return answers
}

func (m *Manager) dump(ctx context.Context, dir string, s database.Server, p func(done, total int64)) (backup.Dump, error) {
	folder := filepath.Join(dir, backup.DumpsDir)
	if err := durable.MkdirAll(folder, 0o700); err != nil {
		return backup.Dump{}, err
	}
	d, err := database.DumpServer(ctx, m.Engine.ExecFast, s, filepath.Join(folder, database.FileName(s)), p)
	if err != nil {
		return backup.Dump{}, m.noDump(ctx, fmt.Errorf("database %s can't be backed up: %w", s.Service, err))
	}
	about, err := json.Marshal(d)
	return backup.Dump{Service: d.Service, File: d.File, Bytes: d.Bytes, SHA256: d.SHA256, About: about}, err
}

// noDump turns the failure of a dump into one of the site, when that is what it is: nothing has been touched, users go on working.
func (m *Manager) noDump(ctx context.Context, err error) error {
	for _, cause := range []error{
		database.ErrNoPassword, database.ErrPassword, database.ErrNotAnswering, database.ErrNoClient, database.ErrBroken,
		database.ErrServerFull, database.ErrClient,
	} {
		if errors.Is(err, cause) && !m.engineGone(ctx) {
			return refuse("an update is only begun when the database can be backed up", "%w", err).In("database_trouble", "cause", err.Error())
		}
	}
	return err
}

// rows counts the rows of every database that runs. One that a crash has stopped is left out: its rows are in the copied volumes.
func (m *Manager) rows(ctx context.Context, p applyPlan, containers []engine.Container) (map[string]int64, error) {
	servers, err := m.servers(p, containers)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, s := range servers {
		rows, err := database.Rows(ctx, m.Engine.Exec, s)
		if err != nil {
			m.Log.Warn("rows not counted", "service", s.Service, "error", err)
			continue
		}
		for table, n := range rows {
			all[s.Service+"/"+table] = n
		}
	}
	return all, nil
}
