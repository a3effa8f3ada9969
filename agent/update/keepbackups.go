package update

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/backup"
	"dhow/agent/change"
)

// Backups lists what is kept of both sorts, newest first.
func (m *Manager) Backups(ctx context.Context) ([]api.Backup, error) {
	list, err := m.exactBackups()
	if err != nil {
		return nil, err
	}
	records, err := m.Archive.List()
	if err != nil {
		return nil, err
	}
	r, err := m.routine()
	if err != nil {
		return nil, err
	}
	trial, err := m.trialResult()
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		b := api.Backup{
			Name: record.Name, Sort: api.BackupPortable, Release: record.Release, Made: record.Made, Bytes: record.Bytes, Stored: record.Stored,
		}
		if record.Problem != nil {
			b.Trouble = record.Problem.Error()
		}
		if record.Verified != nil {
			b.Verified = &record.Verified.When
		}
		for _, t := range record.Trees {
			b.Parts = append(b.Parts, partName(t.Name))
		}
		for _, f := range record.Files {
			if service, ok := strings.CutPrefix(f.Name, backupDumps); ok && f.Bytes > 0 {
				b.Parts = append(b.Parts, "dump "+service)
			}
		}
		if trial != nil && trial.Backup == record.Name && trial.Reason == "" {
			b.Tested = &trial.When
		}
		for place, c := range r.Copies {
			if c.Backup == record.Name {
				b.Copies = append(b.Copies, place)
			}
		}
		slices.Sort(b.Copies)
		list = append(list, b)
	}
	slices.SortStableFunc(list, func(a, b api.Backup) int { return b.Made.Compare(a.Made) })
	return list, nil
}

func partName(tree string) string {
	if strings.HasPrefix(tree, "folder-") {
		return "folder " + strings.TrimPrefix(tree, "folder-")
	}
	return "volume " + tree
}

// exactBackups lists the snapshots.
func (m *Manager) exactBackups() ([]api.Backup, error) {
	past, err := m.past()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(m.Paths.Backups())
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	list := []api.Backup{}
	for _, e := range entries {
		s, err := backup.Read(m.backupDir(e.Name()))
		if err != nil {
			continue // being made, or the rest of one that was interrupted
		}
		b := api.Backup{Name: e.Name(), Sort: api.BackupExact, Release: s.Release, Made: s.Made, Bytes: s.Bytes()}
		for _, t := range s.Trees {
			b.Parts = append(b.Parts, partName(t.Name))
		}
		for _, t := range s.Streams {
			b.Parts = append(b.Parts, partName(t.Name))
		}
		for _, d := range s.Dumps {
			b.Parts = append(b.Parts, "dump "+d.Service)
		}
		b.Restore = slices.ContainsFunc(past, func(p Past) bool { return p.Backup == e.Name() })
		list = append(list, b)
	}
	return list, nil
}

// verifyBackup reads every byte of one backup, or of all.
func (m *Manager) verifyBackup(ctx context.Context, t *change.Task) error {
	p, err := errandOf(t)
	if err != nil {
		return err
	}
	list, err := m.Backups(ctx)
	if err != nil {
		return err
	}
	var bad []error
	for _, b := range list {
		if p.Name != "" && p.Name != b.Name {
			continue
		}
		if b.Sort == api.BackupExact {
			err = backup.Verify(ctx, m.backupDir(b.Name))
		} else {
			err = m.verifyPortable(ctx, t, b.Name)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	return damaged(errors.Join(bad...))
}

// deleteBackup removes one backup that nothing needs.
func (m *Manager) deleteBackup(ctx context.Context, t *change.Task) error {
	p, err := errandOf(t)
	if err != nil {
		return err
	}
	list, err := m.Backups(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(b api.Backup) bool { return b.Name == p.Name })
	if i < 0 {
		return nil // deleted before an interruption
	}
	b := list[i]
	if b.Restore {
		return refuse("it is removed by itself when the release is not kept any more", "backup %s is what a rollback to %s returns to", b.Name, b.Release).In("backup_needed", "backup", b.Name, "release", b.Release)
	}
	if b.Sort == api.BackupExact {
		return os.RemoveAll(m.backupDir(b.Name))
	}
	if newest, err := m.findBackup(ctx, ""); err == nil && newest.Name == b.Name {
		return refuse("make a newer one first: dhow backup create", "backup %s is the newest one", b.Name).In("backup_newest", "backup", b.Name)
	}
	if restore := m.config().Restore; restore != nil && restore.Backup == b.Name {
		if good, err := m.good(); err != nil || good == nil {
			return refuse("wait until it runs", "backup %s is what this computer is to begin with", b.Name).In("backup_beginning", "backup", b.Name)
		}
	}
	return space(m.Archive.Delete(ctx, b.Name))
}

// statusOfBackups fills in what a person should know of the backups.
func (m *Manager) statusOfBackups(ctx context.Context, k *found) error {
	s := k.Status
	list, err := m.Backups(ctx)
	if err != nil {
		k.unreadable = true
		s.Warn("the backups can't be read: "+err.Error(), api.Say("warn_backups_unread", "cause", err.Error()))
		return nil
	}
	for i := range list {
		if list[i].Trouble != "" { // nothing could be restored from it
			k.unreadable = k.unreadable || i == 0
			continue
		}
		if !list[i].Made.After(m.stamp().Add(time.Hour)) { // one that was made by a clock that was ahead tells nothing
			s.LastBackup = &list[i].Made
			break
		}
	}
	trial, err := m.trialResult()
	if err != nil {
		return err
	}
	if trial != nil {
		s.LastDrill = &api.Drill{Backup: trial.Backup, When: trial.When, OK: trial.Reason == "", Reason: trial.Reason}
		if trial.Reason != "" {
			s.Warn("backup "+trial.Backup+" could not be restored on trial: "+trial.Reason,
				api.Say("warn_drill", "backup", trial.Backup, "cause", trial.Reason))
		}
	}
	r, err := m.routine()
	if err != nil {
		return err
	}
	if k.failed = r.Failed; r.Failed != "" {
		s.Warn("the last backup could not be made: "+r.Failed, api.Say("warn_backup", "cause", r.Failed))
	}
	if r.Untidy != "" {
		s.Warn("old backups can't be removed, see dhow backup verify and dhow backup delete: "+r.Untidy,
			api.Say("warn_untidy", "verify", "dhow backup verify", "delete", "dhow backup delete", "cause", r.Untidy))
	}
	for _, place := range m.config().Backup.Copies {
		if c := r.Copies[place]; c.Failed != "" {
			text, said := "no copy of the backups in "+place+": "+c.Failed, api.Say("warn_no_copy", "place", place, "cause", c.Failed)
			if c.Backup != "" {
				text = "no newer copy of the backups in " + place + " than " + c.Backup + ": " + c.Failed
				said = api.Say("warn_old_copy", "place", place, "backup", c.Backup, "cause", c.Failed)
			}
			s.Warn(text, said)
		}
	}
	if next := m.nextBackup(); s.Release != "" && !next.IsZero() {
		s.NextBackup = &next
	}
	return nil
}

// factTrial holds a Trial.
const factTrial = "trial"

func (m *Manager) trialResult() (*Trial, error) {
	var t Trial
	found, err := m.Journal.Fact(factTrial, &t)
	if err != nil || !found {
		return nil, err
	}
	t.When = t.When.Round(time.Second)
	return &t, nil
}
