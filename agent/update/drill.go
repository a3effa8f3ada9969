package update

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/engine"
	"dhow/agent/stack"
)

// trialNote says which backup is on trial, of which release, and under which name.
type trialNote struct {
	errandNote
	Good    Good     `json:"good"`
	Project string   `json:"project"`
	Exact   bool     `json:"exact,omitempty"`
	Folders []string `json:"folders,omitempty"` // of this computer, which the trial gets copies of
}

// trialOf is the release on trial: a copy of its project under another name, with no way in and no way out.
func (m *Manager) trialOf(ctx context.Context, note trialNote) (side, error) {
	s, err := m.side(ctx, note.Good)
	if err != nil {
		return s, err
	}
	folders := map[string]string{}
	for _, f := range note.Folders {
		folders[f] = m.scratchFolder(note.Project, f)
	}
	if s.project, err = s.project.Scratch(note.Project, folders); err != nil {
		return s, refuse("try this backup on another computer: dhow install --restore", "release %s can't be tried beside the running system: %w", s.Release, err).In("trial_beside", "release", s.Release, "cause", err.Error())
	}
	s.Good.Project = note.Project
	return s, nil
}

// tryRestore restores a backup into volumes of its own.
func (m *Manager) tryRestore(ctx context.Context, t *change.Task) error {
	p, err := errandOf(t)
	if err != nil {
		return err
	}
	var note trialNote
	if found, err := t.Note(&note); err != nil {
		return err
	} else if !found {
		b, err := m.findBackup(ctx, p.Name)
		if err != nil {
			return asFailure(err)
		}
		if note, err = m.planTrial(ctx, b, t.Change.ID); err != nil {
			return err
		}
		if err := t.Save(note); err != nil {
			return err
		}
	}
	if err := m.dropTrial(ctx, note.Project); err != nil {
		return err
	}
	to, err := m.trialOf(ctx, note)
	if err != nil {
		return err
	}
	if err := m.ensureImages(ctx, t, to.images); err != nil {
		return err
	}
	if err := t.Fault("restore"); err != nil {
		return err
	}
	if note.Exact {
		return m.tryExact(ctx, t, note, to)
	}
	info, err := m.infoOf(ctx, note.Name)
	if err != nil {
		return damaged(err)
	}
	record, err := m.Archive.Read(note.Name)
	if err != nil {
		return damaged(err)
	}
	var trees []archive.Tree
	for _, kept := range record.Trees {
		folder := info.Folders[kept.Name]
		path, err := m.trialPlace(ctx, to, kept.Name, info.Volumes[kept.Name], folder)
		if err != nil {
			return err
		}
		trees = append(trees, archive.Tree{Name: kept.Name, Path: path})
	}
	for name := range info.Hidden {
		// On trial it is a plain volume, whatever it is made of.
		v := engine.HiddenVolume{Name: volumeFor(to, name, info)}
		if v.Name == name {
			return fmt.Errorf("volume %s of the backup belongs to nothing in release %s", name, to.Release)
		}
		if err := m.Engine.CreateVolume(ctx, v.Name, to.Project, info.Volumes[name]); err != nil {
			return err
		}
		if err := m.fillFrom(ctx, note.Name, name, info, v, to); err != nil {
			return err
		}
	}
	if err := m.Archive.Restore(ctx, note.Name, trees, archive.Progress(progressOf(t))); err != nil {
		return damaged(fmt.Errorf("cannot restore backup %s: %w", note.Name, err))
	}
	return m.load(ctx, t, note.Name, to, readyWithin)
}

// tryExact restores a snapshot, data folders of the servers included.
func (m *Manager) tryExact(ctx context.Context, t *change.Task, note trialNote, to side) error {
	s, err := backup.Read(m.backupDir(note.Name))
	if err != nil {
		return damaged(err)
	}
	from, err := m.side(ctx, note.Good)
	if err != nil {
		return err
	}
	keys, folders := map[string]string{}, map[string]string{}
	for _, v := range from.project.Volumes() {
		keys[v.Name] = v.Key
	}
	for _, f := range note.Folders {
		folders[bindName(f)] = f
	}
	var trees []backup.Tree
	for _, kept := range s.Trees {
		if keys[kept.Name] == "" && folders[kept.Name] == "" {
			continue // of a service that this release does not have
		}
		path, err := m.trialPlace(ctx, to, kept.Name, keys[kept.Name], folders[kept.Name])
		if err != nil {
			return err
		}
		trees = append(trees, backup.Tree{Name: kept.Name, Path: path})
	}
	if err := backup.Restore(ctx, m.backupDir(note.Name), trees, progressOf(t)); err != nil {
		return damaged(fmt.Errorf("cannot restore backup %s: %w", note.Name, err))
	}
	return nil
}

// planTrial looks whether there is a release and room for a trial.
func (m *Manager) planTrial(ctx context.Context, b *api.Backup, id uint64) (note trialNote, err error) {
	if b.Trouble != "" {
		return note, refuse("choose another one: dhow backup list", "backup %s can't be used: %s", b.Name, b.Trouble).In("backup_unusable", "backup", b.Name, "cause", b.Trouble)
	}
	good, err := m.good()
	if err != nil {
		return note, err
	}
	if good == nil {
		return note, refuse("install a release first: dhow update", "no release is installed that a backup could be tried with").In("nothing_to_try")
	}
	note = trialNote{errandNote: errandNote{Name: b.Name}, Project: fmt.Sprintf("%s%s-%d", stack.ScratchPrefix, good.Project, id), Exact: b.Sort == api.BackupExact}
	past, err := m.past()
	if err != nil {
		return note, err
	}
	if note.Exact {
		if s, err := backup.Read(m.backupDir(b.Name)); err == nil && len(s.Streams) > 0 {
			return note, refuse("use a local volume for data", "backup %s can't be tried: volume %s, which can only be reached through the engine, would be the real one",
				b.Name, s.Streams[0].Name).In("trial_volume", "backup", b.Name, "volume", s.Streams[0].Name)
		}
		for _, p := range past {
			if p.Backup == b.Name {
				note.Good = p.Good
			}
		}
		if note.Good.Release != "" {
			if note.Folders, err = m.exactFolders(ctx, note); err != nil {
				return note, err
			}
		}
	} else {
		info, err := m.infoOf(ctx, b.Name)
		if err != nil {
			return note, damaged(err)
		}
		note.Folders = slices.Sorted(maps.Values(info.Folders))
		for _, g := range append([]Good{*good}, goodsOf(past)...) {
			if g.Release == info.Good.Release && g.Digest == info.Good.Digest {
				note.Good = g
				break
			}
		}
	}
	if note.Good.Release == "" {
		return note, refuse("try a newer one", "backup %s belongs to release %s, which is not kept here", b.Name, b.Release).In("trial_release_away", "backup", b.Name, "release", b.Release)
	}
	engine, err := m.Engine.Info(ctx)
	if err != nil {
		return note, engineTrouble(err)
	}
	// A dump takes more room once it is loaded: indexes and the server's own files.
	return note, m.checkNeeds([]need{{"a trial restore", engine.Root, 2*b.Bytes + spaceReserve}})
}

// exactFolders lists the folders of this computer that a snapshot holds, as far as its release mounts them.
func (m *Manager) exactFolders(ctx context.Context, note trialNote) (list []string, err error) {
	s, err := backup.Read(m.backupDir(note.Name))
	if err != nil {
		return nil, damaged(err)
	}
	from, err := m.side(ctx, note.Good)
	if err != nil {
		return nil, err
	}
	for _, b := range from.project.Binds() {
		held := slices.ContainsFunc(s.Trees, func(t backup.TreeInfo) bool { return t.Name == bindName(b.Source) })
		if held && !slices.Contains(list, b.Source) {
			list = append(list, b.Source)
		}
	}
	return list, nil
}

// trialPlace returns where the content of a tree goes on trial: a volume of the trial's project, or a folder of ours.
func (m *Manager) trialPlace(ctx context.Context, to side, name, key, folder string) (string, error) {
	if folder != "" {
		path := m.scratchFolder(to.Project, folder)
		return path, os.MkdirAll(path, 0o755)
	}
	for _, v := range to.project.Volumes() {
		if v.Key != key {
			continue
		}
		if err := m.Engine.CreateVolume(ctx, v.Name, to.Project, key); err != nil {
			return "", err
		}
		return m.volumePath(ctx, v.Name)
	}
	return "", fmt.Errorf("volume %s of the backup belongs to nothing in release %s", name, to.Release)
}

// tryCheck starts all of the restored system and asks it what the checks of its release ask.
func (m *Manager) tryCheck(ctx context.Context, t *change.Task) error {
	var note trialNote
	if _, err := t.Change.ReadNote(stepTryRestore, &note); err != nil {
		return err
	}
	to, err := m.trialOf(ctx, note)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, within(to.doc))
	defer cancel()
	if err := m.Compose.Up(limit, to.project, stack.UpOptions{Closed: true}); err != nil {
		return fmt.Errorf("the restored system does not start: %w", err)
	}
	if err := m.waitHealthy(ctx, to); err != nil {
		return fmt.Errorf("the restored system does not work: %w", err)
	}
	if err := t.Fault("healthy"); err != nil {
		return err
	}
	return m.runChecks(ctx, to, nil)
}

// tryEnd throws the trial away and keeps its result.
func (m *Manager) tryEnd(ctx context.Context, t *change.Task) error {
	var note trialNote
	if _, err := t.Change.ReadNote(stepTryRestore, &note); err != nil {
		return err
	}
	if err := m.dropTrial(ctx, note.Project); err != nil {
		return err
	}
	return t.Set(factTrial, Trial{Backup: note.Name, When: m.stamp()})
}

func (m *Manager) endTrial(ctx context.Context, t *change.Task) error {
	var note trialNote
	if found, err := t.Note(&note); err != nil || !found {
		return err
	}
	return m.dropTrial(ctx, note.Project)
}

// dropTrial removes everything of a trial: containers, networks, volumes, folders.
func (m *Manager) dropTrial(ctx context.Context, project string) error {
	return errors.Join(m.Compose.Discard(ctx, project), os.RemoveAll(m.scratchDir(project)))
}

// drillEnded keeps the result of a trial that failed.
func (m *Manager) drillEnded(c *change.Change) map[string]any {
	var note trialNote
	found, err := c.ReadNote(stepTryRestore, &note)
	if err != nil {
		return nil
	}
	if c.Cause.Class == change.ClassReplaced || c.Cause.Class == change.ClassInterrupted {
		r, err := m.routine()
		if err != nil {
			return nil
		}
		r.Again = true
		return map[string]any{factRoutine: r}
	}
	var p errandPlan
	if !found && c.ReadPlan(&p) == nil {
		if note.Name = p.Name; note.Name == "" { // refused before it began
			if note.Name, err = m.newestBackup(); err != nil || note.Name == "" {
				return nil // there is nothing that could be tried
			}
		}
	}
	return map[string]any{factTrial: Trial{Backup: note.Name, When: m.stamp(), Reason: c.Cause.Message}}
}
