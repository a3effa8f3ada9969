package update

import (
	"context"
	"strings"
	"time"

	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/site"
)

// tidyBackups removes what retention gives up. Before anything goes, every byte of the newest backup is read.
func (m *Manager) tidyBackups(ctx context.Context, t *change.Task) error {
	drop, err := m.outlived(true)
	if err != nil {
		return err
	}
	r, err := m.routine()
	if err != nil || len(drop) == 0 && r.Untidy == "" {
		return err
	}
	if len(drop) == 0 {
		r.Untidy = ""
		return t.Set(factRoutine, r)
	}
	newest, err := m.newestBackup()
	if err != nil {
		return err
	}
	err = m.verifyPortable(ctx, t, newest)
	if err == nil {
		drop, err = m.outlived(false)
	}
	if err == nil && len(drop) > 0 {
		m.Log.Info("old backups are removed", "backups", strings.Join(drop, " "))
		err = m.Archive.Delete(ctx, drop...)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The backup is made: what can't be tidied up is no reason to make another one in an hour.
	r.Untidy = ""
	if err != nil {
		m.Log.Warn("old backups are not removed", "error", err)
		r.Untidy = err.Error()
	}
	return t.Set(factRoutine, r)
}

// outlived names the backups that retention gives up; with assume, as if the newest one were verified.
func (m *Manager) outlived(assume bool) ([]string, error) {
	list, err := m.Archive.List()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if assume && list[i].Problem == nil {
			list[i].Verified = &archive.Verified{When: m.stamp()}
			break
		}
	}
	used, err := m.Archive.Size()
	if err != nil {
		return nil, err
	}
	b := m.config().Backup
	policy := archive.Retention{Count: b.Keep, Age: time.Duration(b.Days) * 24 * time.Hour, Space: b.Budget(), Used: used, Step: m.longestStep()}
	if policy.Count == 0 {
		policy.Count = site.DefaultKeep
	}
	return archive.Retain(list, policy, m.neededBackup(), m.stamp()), nil
}

// longestStep is how much older a backup can become from one to the next: a clock that is a year ahead makes none a year older.
func (m *Manager) longestStep() time.Duration {
	const least = 7 * 24 * time.Hour
	expr := m.config().Backup.At
	if expr == "" {
		expr = site.DefaultBackup
	}
	if expr == site.Never {
		return least
	}
	one := m.nextOf(expr, m.stamp())
	return max(least, 2*m.nextOf(expr, one).Sub(one))
}

// verifyPortable reads every byte of a portable backup and notes that it was right.
func (m *Manager) verifyPortable(ctx context.Context, t *change.Task, name string) error {
	if err := m.Archive.Verify(ctx, name, archive.Progress(progressOf(t))); err != nil {
		return err
	}
	return m.Archive.MarkVerified(name, m.stamp(), "read")
}

// neededBackup tells which backups are not deleted: that from which a new computer is being built.
func (m *Manager) neededBackup() func(archive.Record) bool {
	restore := m.config().Restore
	good, err := m.good()
	return func(r archive.Record) bool {
		return restore != nil && restore.Backup == r.Name && (err != nil || good == nil)
	}
}
