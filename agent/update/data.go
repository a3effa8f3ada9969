package update

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"dhow/agent/backup"
	"dhow/agent/change"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/agent/health"
	"dhow/agent/stack"
	"dhow/bundle/durable"
)

// stopGrace is how long services may take to stop: a database that is killed has to recover later.
const stopGrace = 90 * time.Second

// disturbedFor is how long the last copy is tried again while somebody else writes into the data.
const disturbedFor = 5 * time.Minute

// copyNote says what is copied where. Previous holds the answers of the checks that compare with the release before.
type copyNote struct {
	Name  string        `json:"name"`
	Trees []backup.Tree `json:"trees"`
	// Hidden are volumes that can only be copied through the engine.
	Hidden   []engine.HiddenVolume `json:"hidden,omitempty"`
	Previous map[string]string     `json:"previous,omitempty"`
	Dumps    []backup.Dump         `json:"dumps,omitempty"`
}

// backupNote names the complete copy.
type backupNote struct {
	Name string `json:"name"`
}

// restoreNote is the restore record: from here on data may change, and this is how it comes back. Volumes that are not in Existing are
// new and go away.
type restoreNote struct {
	Name     string        `json:"name"`
	Trees    []backup.Tree `json:"trees"`
	Existing []string      `json:"existing"`
}

func (m *Manager) backupDir(name string) string { return filepath.Join(m.Paths.Backups(), name) }

// volumePath returns where a volume is, or "" when there is none.
func (m *Manager) volumePath(ctx context.Context, name string) (string, error) {
	path, err := m.Engine.Volume(ctx, name)
	switch {
	case errors.Is(err, engine.ErrNoVolume):
		return "", nil
	case errors.Is(err, engine.ErrHidden):
		return "", refuse("use a local volume for data", "volume %s can't be copied: %w", name, err).In("volume_hidden", "volume", name, "cause", err.Error())
	case err != nil:
		return "", engineTrouble(err)
	}
	return path, nil
}

// copyAhead makes the first copy of the volumes and the dumps of the databases while users work.
func (m *Manager) copyAhead(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	containers, err := m.Engine.Containers(ctx, p.To.Project)
	if err != nil {
		return engineTrouble(err)
	}
	servers, err := m.servers(p, containers)
	if err != nil {
		return err
	}
	var note copyNote
	if found, err := t.Note(&note); err != nil {
		return err
	} else if !found {
		note.Name = fmt.Sprintf("%s-%04d", m.stamp().Format("2006-01-02T150405"), t.Change.ID)
		if note.Trees, note.Hidden, err = m.data(ctx, containers, to.project, to.doc); err != nil {
			return err
		}
		if p.Archive != "" { // a restore puts these back too: what is there now is saved first
			others, err := m.otherFolders(true)
			if err != nil {
				return err
			}
			note.Trees = withoutTwins(append(note.Trees, others...))
		}
		note.Previous = m.previous(ctx, to.doc, servers)
		if err := t.Save(note); err != nil {
			return err
		}
	}
	dir := m.backupDir(note.Name)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return space(err)
	}
	if err := t.Fault("copy"); err != nil {
		return space(err)
	}
	if err := backup.CopyAhead(ctx, dir, note.Trees, progressOf(t)); err != nil {
		return space(fmt.Errorf("cannot copy the data: %w", err))
	}
	if _, err := m.saveHidden(ctx, t, p, dir, note.Hidden); err != nil { // to see that it works, and that there is space
		return err
	}
	if err := t.Fault("dump"); err != nil {
		return space(err)
	}
	note.Dumps = nil
	for _, s := range servers {
		d, err := m.dump(ctx, dir, s, progressOf(t))
		if errors.Is(err, database.ErrNoDatabases) {
			continue
		}
		if err != nil && p.takesBack() && ctx.Err() == nil && !m.engineGone(ctx) && space(err) == err {
			m.Log.Warn("no dump of a database before its data go back", "service", s.Service, "error", err)
			continue
		}
		if err != nil {
			return space(err)
		}
		note.Dumps = append(note.Dumps, d)
	}
	if len(note.Dumps) > 0 { // which takes its time: what users changed meanwhile need not wait until the doors are closed
		if err := backup.CopyAhead(ctx, dir, note.Trees, progressOf(t)); err != nil {
			return space(fmt.Errorf("cannot copy the data: %w", err))
		}
	}
	for i := range note.Dumps {
		if note.Dumps[i], err = backup.ProveDump(ctx, dir, note.Dumps[i]); err != nil {
			return err
		}
	}
	return t.Save(note)
}

// dropCopies removes a copy that is not complete; a complete one is a backup and stays for retention to judge.
func (m *Manager) dropCopies(ctx context.Context, t *change.Task) error {
	var note copyNote
	if found, err := t.Note(&note); err != nil || !found {
		return err
	}
	for _, v := range note.Hidden {
		if err := m.Engine.DropCarriers(ctx, v.Name); err != nil {
			return err
		}
	}
	return m.dropIncomplete(note.Name)
}

func (m *Manager) dropIncomplete(name string) error {
	dir := m.backupDir(name)
	if _, err := backup.Read(dir); err == nil {
		return nil
	}
	return removeFolder(dir)
}

// backUp stops what still runs and completes the snapshot while nothing can write.
func (m *Manager) backUp(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var ahead copyNote
	if _, err := t.Change.ReadNote(stepCopyAhead, &ahead); err != nil {
		return err
	}
	if err := t.Save(backupNote{Name: ahead.Name}); err != nil {
		return err
	}
	info := backup.Info{Made: m.stamp(), Dumps: ahead.Dumps}
	if p.From != nil {
		info.Release = p.From.Release
	}
	dir := m.backupDir(ahead.Name)
	containers, err := m.Engine.Containers(ctx, p.To.Project)
	if err != nil {
		return engineTrouble(err)
	}
	if info.Rows, err = m.rows(ctx, p, containers); err != nil {
		return err
	}
	if err := m.stopAll(ctx, p.To.Project); err != nil {
		return m.disturbed(t, err)
	}
	if err := t.Fault("copy"); err != nil {
		return err
	}
	if info.Streams, err = m.saveHidden(ctx, t, p, dir, ahead.Hidden); err != nil {
		return err
	}
	if _, err := backup.Finish(ctx, dir, ahead.Trees, info, progressOf(t)); err != nil {
		err = fmt.Errorf("cannot complete the copy of the data: %w", err)
		if errors.Is(err, backup.ErrChanged) {
			return m.disturbed(t, err)
		}
		return err
	}
	if err := m.nothingRuns(ctx, p.To.Project); err != nil {
		return m.disturbed(t, err)
	}
	return nil
}

func (m *Manager) stopAll(ctx context.Context, project string) error {
	containers, err := m.Engine.Containers(ctx, project)
	if err != nil {
		return engineTrouble(err)
	}
	for _, c := range containers {
		if c.State == "running" || c.State == "paused" || c.State == "restarting" {
			if err := m.Engine.Stop(ctx, c.ID, stopGrace); err != nil {
				return fmt.Errorf("cannot stop service %s: %w", c.Service, err)
			}
		}
	}
	return m.nothingRuns(ctx, project)
}

// errDisturbed says that somebody works on the stack beside us.
var errDisturbed = errors.New("somebody started it")

// nothingRuns fails when somebody started a service while the data were being copied.
func (m *Manager) nothingRuns(ctx context.Context, project string) error {
	containers, err := m.Engine.Containers(ctx, project)
	if err != nil {
		return engineTrouble(err)
	}
	for _, c := range containers {
		if c.State == "running" {
			return fmt.Errorf("service %s runs although it was stopped: %w", c.Service, errDisturbed)
		}
	}
	return nil
}

// disturbed asks for another try while the data do not hold still, for some minutes: then users should have their system back.
func (m *Manager) disturbed(t *change.Task, err error) error {
	if !errors.Is(err, errDisturbed) && !errors.Is(err, backup.ErrChanged) {
		return err
	}
	if m.restless.begins(t.Change, t.Step) > disturbedFor {
		return refuse("find out who writes there: another stack, a cron job, a person", "%w", err).In("disturbed", "cause", err.Error())
	}
	return &change.Retry{After: time.Second, Err: err}
}

func progressOf(t *change.Task) func(done, total int64) {
	return func(done, total int64) { t.Progress(change.Progress{Done: done, Total: total}) }
}

// services lists the stack for package health.
func (m *Manager) services(ctx context.Context, name string, project *stack.Project) ([]health.Service, error) {
	containers, err := m.Engine.Containers(ctx, name)
	if err != nil {
		return nil, err
	}
	var list []health.Service
	for _, c := range containers {
		if c.OneOff {
			continue
		}
		list = append(list, ServiceOf(c, project))
	}
	return list, nil
}

// ServiceOf describes a container for package health. Its service is meant to end when others wait for that, or when it has ended well and nothing
// starts it again: so says the project, and the container itself where there is none. What somebody has stopped is none of these.
func ServiceOf(c engine.Container, project *stack.Project) health.Service {
	policy, awaited := c.RestartPolicy, false
	if project != nil {
		policy, awaited = project.Restart(c.Service), project.OneShot(c.Service)
	}
	endedWell := c.State == "exited" && c.ExitCode == 0
	return health.Service{
		Name: c.Service, State: c.State, Health: c.Health, HealthLog: c.HealthLog, ExitCode: c.ExitCode, Restarts: c.Restarts,
		OneShot: awaited || endedWell && !comesBack(policy, 0),
	}
}

// comesBack reports whether a restart policy starts a container again that has ended with a code.
func comesBack(policy string, code int) bool {
	return policy == "always" || policy == "unless-stopped" || strings.HasPrefix(policy, "on-failure") && code != 0
}
