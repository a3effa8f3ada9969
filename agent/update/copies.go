package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"dhow/agent/api"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/offsite"
	"dhow/agent/site"
)

// sendCopy brings what a place lacks of a backup there, encrypted for the central team.
func (m *Manager) sendCopy(ctx context.Context, t *change.Task) error {
	p, err := errandOf(t)
	if err != nil {
		return err
	}
	b, err := m.findBackup(ctx, p.Name)
	if err != nil {
		return asFailure(err)
	}
	if b.Sort != api.BackupPortable {
		return refuse("make a portable one with: dhow backup create", "backup %s holds the files of running servers and can't be copied out", b.Name).In("backup_exact", "backup", b.Name)
	}
	key := ""
	if current, err := m.Trust.Current(); err == nil {
		key = current.Fleet.Policy.BackupKey
	}
	if key == "" {
		return refuse("the central team makes one with: dhowctl key backup, and publishes",
			"the fleet has no key for backups, and nothing leaves this computer unencrypted").In("no_backup_key")
	}
	if err := t.Save(errandNote{Name: b.Name}); err != nil {
		return err
	}
	settings, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return err
	}
	secret := func(name string) string { return settings[name] }
	if p.Person { // who names a place means it: it is marked as one
		if err := offsite.Init(ctx, p.Place, secret); err != nil {
			return copyTrouble(err)
		}
	}
	place, err := offsite.OpenPlace(ctx, p.Place, secret)
	if err != nil {
		return copyTrouble(err)
	}
	defer place.Close() // a stick can't be taken out while its folder is open
	if err := t.Fault("send"); err != nil {
		return copyTrouble(err)
	}
	sent, err := offsite.Send(ctx, place, m.Config.Site, b.Name, archived{m.Archive}, key, offsite.Progress(progressOf(t)))
	if err != nil {
		return copyTrouble(fmt.Errorf("%s: %w", p.Place, err))
	}
	m.Log.Info("backup copied", "backup", b.Name, "place", p.Place, "bytes", sent)
	records, err := m.Archive.List()
	if err != nil {
		return err
	}
	var keep []string
	for _, r := range records {
		keep = append(keep, r.Name)
	}
	r, err := m.routine()
	if err != nil {
		return err
	}
	mine := append(slices.Clone(r.Copies[p.Place].Sent), b.Name)
	if len(keep) == 1 && m.config().Backup.Keep != 1 {
		keep = mine // the archive was lost here, or is young: nothing is removed there
	}
	if _, err := offsite.Drop(ctx, place, m.Config.Site, mine, keep); err != nil {
		m.Log.Warn("older copies are not removed", "place", p.Place, "error", err)
	} else {
		mine = slices.DeleteFunc(mine, func(name string) bool { return name != b.Name && !slices.Contains(keep, name) })
	}
	slices.Sort(mine)
	r.Copies[p.Place] = Copied{Backup: b.Name, Sent: slices.Compact(mine), When: m.stamp()}
	return t.Set(factRoutine, r)
}

// exportEnded remembers why a place has no newer copy.
func (m *Manager) exportEnded(c *change.Change) map[string]any {
	var p errandPlan
	r, err := m.routine()
	if err != nil || c.ReadPlan(&p) != nil || c.Cause.Class == change.ClassReplaced {
		return nil
	}
	copied := r.Copies[p.Place]
	copied.Failed, copied.Retry = c.Cause.Message, m.now().Add(pauseAfterCopy)
	r.Copies[p.Place] = copied
	return map[string]any{factRoutine: r}
}

// copyTrouble classifies what goes wrong at a place.
func copyTrouble(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	f := &change.Failure{Class: change.ClassSite, Code: api.CodeRefused, Err: err, Hint: offsite.Hint(err)}
	if errors.Is(err, offsite.ErrUnreachable) {
		f.Class, f.Code = change.ClassNetwork, api.CodeUnreachable
	}
	return f
}

// archived lets the objects of the archive be copied out.
type archived struct{ *archive.Archive }

// Objects implements offsite.Source.
func (a archived) Objects(backup string) ([]offsite.Object, error) {
	objects, err := a.Archive.Objects(backup)
	if err != nil {
		return nil, err
	}
	var list []offsite.Object
	for _, o := range objects {
		list = append(list, offsite.Object{Name: o.Name, Size: o.Size, SHA256: o.SHA256})
	}
	return list, nil
}

// OpenObject implements offsite.Source.
func (a archived) OpenObject(name string) (io.ReadCloser, error) {
	return a.Archive.OpenObject(name)
}
