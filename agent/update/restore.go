package update

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dhow/agent/backup"
	"dhow/agent/change"
)

// armRestore records how the data come back.
func (m *Manager) armRestore(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var ahead copyNote
	if _, err := t.Change.ReadNote(stepCopyAhead, &ahead); err != nil {
		return err
	}
	if _, err := backup.Read(m.backupDir(ahead.Name)); err != nil {
		return fmt.Errorf("the copy of the data is not complete: %w", err)
	}
	existing, err := m.Engine.Volumes(ctx, p.To.Project)
	if err != nil {
		return engineTrouble(err)
	}
	return t.Save(restoreNote{Name: ahead.Name, Trees: ahead.Trees, Existing: existing})
}

// putDataBack makes the volumes what they were before the new release could touch them.
func (m *Manager) putDataBack(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err != nil {
		return err
	}
	var note restoreNote
	if found, err := t.Note(&note); err != nil || !found {
		return err
	}
	return m.restore(ctx, t, p, note)
}

// restore takes the stack down and makes its volumes what they were when the restore record was written.
func (m *Manager) restore(ctx context.Context, t *change.Task, p applyPlan, note restoreNote) error {
	if err := m.Compose.Down(ctx, p.To.Project, stopGrace); err != nil {
		return err
	}
	if _, err := m.ensureVolumes(ctx, p.To.Project, note.Trees); err != nil {
		return err
	}
	if err := t.Fault("restore"); err != nil {
		return err
	}
	if err := backup.Restore(ctx, m.backupDir(note.Name), note.Trees, progressOf(t)); err != nil {
		return fmt.Errorf("cannot put the data back: %w", err)
	}
	if err := m.fillHidden(ctx, t, p, m.backupDir(note.Name)); err != nil {
		return fmt.Errorf("cannot put the data back: %w", err)
	}
	volumes, err := m.Engine.Volumes(ctx, p.To.Project)
	if err != nil {
		return engineTrouble(err)
	}
	for _, v := range volumes {
		if !slices.Contains(note.Existing, v) {
			if err := m.Engine.RemoveVolume(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// ensureVolumes makes the volumes again that are gone, and reports whether there were any: while no container holds them, somebody's
// docker volume prune takes them for rubbish. They are empty then, and have to be restored.
func (m *Manager) ensureVolumes(ctx context.Context, project string, trees []backup.Tree) (gone bool, err error) {
	for _, t := range trees {
		if t.Name == bindName(t.Path) {
			continue
		}
		path, err := m.volumePath(ctx, t.Name)
		if err != nil {
			return gone, err
		}
		if path != "" {
			continue
		}
		gone = true
		m.Log.Warn("a volume is gone: it is made again and restored", "volume", t.Name)
		if err := m.Engine.CreateVolume(ctx, t.Name, project, strings.TrimPrefix(t.Name, project+"_")); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// returnData puts the data of an older release in place, when a person asked for it. The present data are safe: the change made a
// complete backup just before.
func (m *Manager) returnData(ctx context.Context, t *change.Task) error {
	p, err := planOf(t)
	if err == nil && p.Archive != "" {
		return m.returnArchive(ctx, t, p)
	}
	if err != nil || p.ReturnTo == "" {
		return err
	}
	dir := m.backupDir(p.ReturnTo)
	snapshot, err := backup.Read(dir)
	if err != nil {
		return err
	}
	to, err := m.side(ctx, p.To)
	if err != nil {
		return err
	}
	if err := m.Compose.Down(ctx, p.To.Project, stopGrace); err != nil {
		return err
	}
	var ahead copyNote
	if _, err := t.Change.ReadNote(stepCopyAhead, &ahead); err != nil {
		return err
	}
	var trees []backup.Tree
	for _, kept := range snapshot.Trees {
		if i := slices.IndexFunc(ahead.Trees, func(t backup.Tree) bool { return t.Name == kept.Name }); i >= 0 {
			trees = append(trees, ahead.Trees[i])
			continue
		}
		path, err := m.placeOf(ctx, to, kept.Name)
		if err != nil {
			return err
		}
		trees = append(trees, backup.Tree{Name: kept.Name, Path: path})
	}
	if err := t.Fault("restore"); err != nil {
		return err
	}
	if err := backup.Restore(ctx, dir, trees, progressOf(t)); err != nil {
		return fmt.Errorf("cannot put the data of backup %s in place: %w", p.ReturnTo, err)
	}
	if err := m.fillHidden(ctx, t, p, dir); err != nil {
		return fmt.Errorf("cannot put the data of backup %s in place: %w", p.ReturnTo, err)
	}
	return nil
}

// placeOf returns where a tree of a snapshot was: a folder of this computer, or a volume, which is made again when somebody has removed it.
func (m *Manager) placeOf(ctx context.Context, to side, name string) (string, error) {
	for _, b := range to.project.Binds() {
		if path := filepath.Clean(b.Source); bindName(path) == name {
			return path, nil
		}
	}
	path, err := m.volumePath(ctx, name)
	if err != nil || path != "" {
		return path, err
	}
	if err := m.Engine.CreateVolume(ctx, name, to.Project, strings.TrimPrefix(name, to.Project+"_")); err != nil {
		return "", err
	}
	return m.volumePath(ctx, name)
}
