package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/database"
	"dhow/agent/engine"
	"dhow/agent/stack"
	"dhow/bundle/durable"
)

// restoreIfAsked begins to build this computer from the backup that the configuration names, once, while it runs nothing yet.
func (m *Manager) restoreIfAsked(context.Context) error {
	good, err := m.good()
	if err != nil || m.toRestore(good) == nil {
		return err
	}
	c, err := m.unfinished()
	if err != nil || c != nil {
		return err
	}
	_, err = m.startFetch(m.fetchFor(fetchPlan{Now: true}))
	return err
}

// fetchFor adds where the release of a computer comes from that is built from a backup.
func (m *Manager) fetchFor(p fetchPlan) fetchPlan {
	good, err := m.good()
	if r := m.toRestore(good); err == nil && r != nil && p.From == "" {
		p.From = r.From
	}
	return p
}

// planRestore says what it means to put the data of a backup in place on a site that runs.
func (m *Manager) planRestore(ctx context.Context, name string, good *Good) (api.RollbackPlan, applyPlan, error) {
	fail := func(e *api.Error) (api.RollbackPlan, applyPlan, error) { return api.RollbackPlan{}, applyPlan{}, e }
	b, err := m.findBackup(ctx, name)
	if err != nil {
		return api.RollbackPlan{}, applyPlan{}, err
	}
	if good == nil {
		return fail(api.Fail(api.CodeRefused, "on a new computer: dhow install --restore", "no release is installed here that the data of %s could go to", b.Name).In("no_release_for_backup", "backup", b.Name))
	}
	if b.Trouble != "" {
		return fail(api.Fail(api.CodeNotTrusted, "choose another one: dhow backup list", "backup %s can't be used: %s", b.Name, b.Trouble).In("backup_unusable", "backup", b.Name, "cause", b.Trouble))
	}
	past, err := m.past()
	if err != nil {
		return api.RollbackPlan{}, applyPlan{}, err
	}
	plan := api.RollbackPlan{From: good.Release, To: b.Release, Data: "restore", DataSince: b.Made, Site: m.Config.Site, Backup: b.Name}
	do := applyPlan{From: good, ByHand: true}
	var rows map[string]int64
	if b.Sort == api.BackupExact {
		i := slices.IndexFunc(past, func(p Past) bool { return p.Backup == b.Name })
		s, err := backup.Read(m.backupDir(b.Name))
		if err != nil || i < 0 {
			return fail(api.Fail(api.CodeRefused, "choose another one: dhow backup list", "backup %s can't be used: its release is not kept here", b.Name).In("backup_release_gone", "backup", b.Name))
		}
		do.To, do.ReturnTo, rows = past[i].Good, b.Name, s.Rows
		plan.Loss, plan.Said = m.loss(ctx, *good, b.Made, rows)
		return plan, do, nil
	}
	record, err := m.Archive.Read(b.Name)
	if err == nil && record.Site != m.Config.Site {
		return fail(api.Fail(api.CodeNotTrusted, "use a backup of this site", "backup %s was made at site %s, this is %s", b.Name, record.Site, m.Config.Site).In("backup_other_site", "backup", b.Name, "site", record.Site, "here", m.Config.Site))
	}
	var info backupInfo
	if err == nil {
		info, err = m.infoOf(ctx, b.Name)
	}
	if err != nil {
		return fail(api.Fail(api.CodeNotTrusted, "choose another one: dhow backup list", "backup %s can't be used: %v", b.Name, err).In("backup_unusable", "backup", b.Name, "cause", err.Error()))
	}
	do.Archive, rows = b.Name, info.Rows
	runs := append([]Good{*good}, goodsOf(past)...)
	i := slices.IndexFunc(runs, func(g Good) bool { return g.Release == info.Good.Release && g.Digest == info.Good.Digest })
	if i < 0 {
		return fail(api.Fail(api.CodeRefused, "bring it here first: pin it, then dhow update", "backup %s belongs to release %s, which is not kept here",
			b.Name, info.Good.Release).In("backup_release_away", "backup", b.Name, "release", info.Good.Release))
	}
	do.To = runs[i]
	plan.Loss, plan.Said = m.loss(ctx, *good, b.Made, rows)
	return plan, do, nil
}

func goodsOf(past []Past) (list []Good) {
	for _, p := range past {
		list = append(list, p.Good)
	}
	return list
}

// returnArchive puts the volumes and folders of a portable backup in place. The present data are safe: the change made an exact copy just
// before. Volumes of databases are emptied: their dumps are loaded when the servers run.
func (m *Manager) returnArchive(ctx context.Context, t *change.Task, p applyPlan) error {
	info, err := m.infoOf(ctx, p.Archive)
	if err != nil {
		return damaged(err)
	}
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	if err := m.Compose.Down(ctx, p.To.Project, stopGrace); err != nil {
		return err
	}
	record, err := m.Archive.Read(p.Archive)
	if err != nil {
		return damaged(err)
	}
	var trees []archive.Tree
	for _, kept := range record.Trees {
		path, err := m.placeFor(ctx, to, kept.Name, info)
		if err != nil {
			return err
		}
		trees = append(trees, archive.Tree{Name: kept.Name, Path: path})
	}
	if err := t.Fault("restore"); err != nil {
		return err
	}
	for name := range info.Hidden {
		v := info.Hidden[name]
		v.Name = volumeFor(to, name, info)
		if err := m.fillFrom(ctx, p.Archive, name, info, v, to); err != nil {
			return fmt.Errorf("cannot put volume %s of backup %s in place: %w", name, p.Archive, err)
		}
	}
	for name := range info.Loaded {
		if _, ok := info.Hidden[name]; ok {
			continue
		}
		path, err := m.placeFor(ctx, to, name, info)
		if err != nil {
			return err
		}
		if err := empty(path); err != nil {
			return fmt.Errorf("cannot empty volume %s: %w", name, err)
		}
	}
	if err := m.Archive.Restore(ctx, p.Archive, trees, archive.Progress(progressOf(t))); err != nil {
		return damaged(fmt.Errorf("cannot put the data of backup %s in place: %w", p.Archive, err))
	}
	return nil
}

// placeFor returns where the content of a tree of a backup belongs here: a folder of this computer, or a volume of the project, which is made
// when it is not there. On another computer the project may have another name.
func (m *Manager) placeFor(ctx context.Context, to side, name string, info backupInfo) (string, error) {
	if folder := info.Folders[name]; folder != "" {
		return folder, durable.MkdirAll(folder, 0o755)
	}
	key, target := info.Volumes[name], volumeFor(to, name, info)
	if key == "" {
		return "", fmt.Errorf("backup: volume %s belongs to nothing in release %s", name, to.Release)
	}
	path, err := m.volumePath(ctx, target)
	if err != nil || path != "" {
		return path, err
	}
	if err := m.Engine.CreateVolume(ctx, target, to.Project, key); err != nil {
		return "", err
	}
	return m.volumePath(ctx, target)
}

// volumeFor is the name that a volume of a backup has in a project.
func volumeFor(to side, name string, info backupInfo) string {
	key := info.Volumes[name]
	for _, v := range to.project.Volumes() {
		if v.Key == key && key != "" {
			return v.Name
		}
	}
	return name
}

// empty removes everything inside a folder.
func empty(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// readyWithin is how long an empty database server may take to set itself up.
const readyWithin = 10 * time.Minute

// loadDumps starts the database servers of a release alone, loads the dumps of a backup and proves that they arrived.
func (m *Manager) loadDumps(ctx context.Context, t *change.Task, p applyPlan, to side) error {
	return m.load(ctx, t, p.Archive, to, readyWithin)
}

func (m *Manager) load(ctx context.Context, t *change.Task, name string, to side, within time.Duration) error {
	info, err := m.infoOf(ctx, name)
	if err != nil || len(info.Dumps) == 0 {
		return damaged(err)
	}
	var services []string
	for _, d := range info.Dumps {
		services = append(services, d.Service)
	}
	limit, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := m.Compose.Up(limit, to.project, stack.UpOptions{Closed: true, Only: services}); err != nil {
		return fmt.Errorf("cannot start the databases: %w", err)
	}
	for _, d := range info.Dumps {
		s, err := m.awaitServer(ctx, to, d.Service, within) // the dump before may have taken hours
		if err != nil {
			return err
		}
		if err := t.Fault("load"); err != nil {
			return err
		}
		r, err := m.Archive.OpenFile(ctx, name, backupDumps+d.Service)
		if err != nil {
			return damaged(err)
		}
		err = database.Load(ctx, m.Engine.Exec, s, r, d, database.Progress(progressOf(t)))
		if err = errors.Join(err, r.Close()); err != nil {
			return damaged(fmt.Errorf("cannot load the dump of %s: %w", d.Service, err))
		}
		if err := m.prove(ctx, s, d, info); err != nil {
			return err
		}
	}
	return nil
}

// prove compares a server with what was recorded when its dump was made.
func (m *Manager) prove(ctx context.Context, s database.Server, d database.Dump, info backupInfo) error {
	if err := database.Prove(ctx, m.Engine.ExecFast, s, d); err != nil {
		return fmt.Errorf("database %s is not what was backed up: %w", d.Service, err)
	}
	want := info.Schemas[d.Service]
	have, err := database.Fingerprint(ctx, m.Engine.Exec, s)
	if err == nil && want != "" && have != want {
		err = fmt.Errorf("database %s is not what was backed up: its schema differs", d.Service)
	}
	return err
}

// awaitServer waits until a database server has set itself up and takes connections: the official images start one for themselves first,
// which is not reached over the network and goes away again.
func (m *Manager) awaitServer(ctx context.Context, to side, service string, within time.Duration) (database.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error
	for {
		containers, err := m.Engine.Containers(ctx, to.Project)
		if err != nil {
			return database.Server{}, engineTrouble(err)
		}
		for _, s := range serversOf(to.doc, containers) {
			if s.Service != service {
				continue
			}
			s.Databases = nil // all of them are in the backup; none need be there yet
			if last = m.answers(ctx, s, containers); last == nil {
				return s, nil
			}
		}
		timer := time.NewTimer(500 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			if last == nil {
				last = ctx.Err()
			}
			return database.Server{}, broken("database %s does not answer: %w", service, last)
		case <-timer.C:
		}
	}
}

// answers reports whether a server takes connections over the network, and is healthy where the stack says how that is seen.
func (m *Manager) answers(ctx context.Context, s database.Server, containers []engine.Container) error {
	for _, c := range containers {
		if c.ID == s.Container && c.Health != "" && c.Health != "healthy" {
			return fmt.Errorf("it is %s", c.Health)
		}
	}
	query, alone := "select @@skip_networking", "1"
	if s.Engine == "postgresql" {
		query, alone = "show listen_addresses", ""
	}
	answer, err := database.Query(ctx, m.Engine.Exec, s, query)
	if err == nil && strings.TrimSpace(answer) == alone {
		err = errors.New("it is still being set up")
	}
	return err
}

// damaged tells a backup that can't be used from other trouble.
func damaged(err error) error {
	if err == nil || !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, backup.ErrDamaged) {
		return space(err)
	}
	f := &change.Failure{
		Class: change.ClassSite, Code: api.CodeNotTrusted, Err: err, Hint: "use another backup: dhow backup list",
	}
	return f.In("backup_damaged", "cause", err.Error())
}

// scratchDir is where folders of this computer are put on trial; scratchFolder the place of one of them.
func (m *Manager) scratchDir(project string) string {
	return filepath.Join(m.Paths.State(), "trial", project)
}

func (m *Manager) scratchFolder(project, folder string) string {
	return filepath.Join(m.scratchDir(project), bindName(folder))
}
