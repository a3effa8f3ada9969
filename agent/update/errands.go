package update

import (
	"context"
	"fmt"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
)

// errandPlan is what an errand is about. Errands look after backups, or write a bundle for neighbours: they touch nothing that runs.
type errandPlan struct {
	Name   string `json:"name,omitempty"`  // of a backup; empty means what the kind says
	Place  string `json:"place,omitempty"` // of an export
	Person bool   `json:"person,omitempty"`
}

func errandOf(t *change.Task) (p errandPlan, err error) {
	err = t.Change.ReadPlan(&p)
	return p, err
}

// isErrand reports whether a kind of change is an errand.
func isErrand(kind string) bool {
	switch kind {
	case KindBackup, KindVerify, KindDrill, KindDelete, KindExport, KindBundle, KindAgent:
		return true
	}
	return false
}

// givesWay reports whether a change ends at once for something else: what the schedule began, for it begins again by itself, and with yield a
// person's fetch as well, whose bytes stay.
func givesWay(c *change.Change, yield bool) (bool, error) {
	switch c.Kind {
	case KindFetch:
		var p fetchPlan
		err := c.ReadPlan(&p)
		return yield || !p.Person, err
	case KindAgent:
		return true, nil
	case KindBackup, KindVerify, KindDrill, KindExport:
		var p errandPlan
		err := c.ReadPlan(&p)
		return !p.Person, err
	}
	return false, nil
}

// Backup begins what a person asks for.
func (m *Manager) Backup(ctx context.Context, req api.BackupRequest) (api.Started, error) {
	kind := map[string]string{
		api.BackupCreate: KindBackup, api.BackupVerify: KindVerify, api.BackupDrill: KindDrill, api.BackupDelete: KindDelete,
		api.BackupExport: KindExport,
	}[req.Action]
	if kind == "" {
		return api.Started{}, api.Fail(api.CodeUsage, "see: dhow backup --help", "nothing is known of %q", req.Action)
	}
	if err := m.knows(ctx, req); err != nil {
		return api.Started{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(order{}); err != nil {
		return api.Started{}, err
	}
	c, err := m.runner.Start(kind, errandPlan{Name: req.Name, Place: req.Place, Person: true}, nil)
	if err != nil {
		return api.Started{}, err
	}
	m.poke()
	return api.Started{Change: c.ID}, nil
}

// knows refuses a backup that is not there before anything begins.
func (m *Manager) knows(ctx context.Context, req api.BackupRequest) error {
	if req.Action == api.BackupCreate || req.Name == "" && req.Action == api.BackupVerify {
		return nil
	}
	_, err := m.findBackup(ctx, req.Name)
	return err
}

// findBackup returns a backup by its name, the newest portable one without a name.
func (m *Manager) findBackup(ctx context.Context, name string) (*api.Backup, error) {
	list, err := m.Backups(ctx)
	if err != nil {
		return nil, err
	}
	for i, b := range list {
		if b.Name == name || name == "" && b.Sort == api.BackupPortable && b.Trouble == "" {
			return &list[i], nil
		}
	}
	if name == "" {
		return nil, api.Fail(api.CodeRefused, "make one with: dhow backup create", "there is no backup yet").In("no_backup")
	}
	return nil, api.Fail(api.CodeUsage, "dhow backup list shows those that are here", "there is no backup %s", name).In("unknown_backup", "backup", name)
}

// stepsOfErrands are the tables of the errands. What they leave half done is tidied up by the archive and by the next errand.
func (m *Manager) errands() map[string]change.Kind {
	return map[string]change.Kind{
		KindBackup: {Steps: []change.Step{
			{Name: "check-backup", Do: m.checkBackup},
			{Name: stepMakeBackup, Do: m.makeBackup},
			{Name: "tidy-backups", Do: m.tidyBackups},
		}, Interruptions: 10, Ended: m.backupEnded},
		KindVerify: {Steps: []change.Step{{Name: "verify-backup", Do: m.verifyBackup}}, Interruptions: 10},
		KindDrill: {Steps: []change.Step{
			{Name: stepTryRestore, Do: m.tryRestore, Undo: m.endTrial},
			{Name: "try-check", Do: m.tryCheck},
			{Name: "try-end", Do: m.tryEnd},
		}, Interruptions: 3, Ended: m.drillEnded},
		KindDelete: {Steps: []change.Step{{Name: "delete-backup", Do: m.deleteBackup}}},
		KindExport: {Steps: []change.Step{{Name: "send-copy", Do: m.sendCopy}}, Ended: m.exportEnded},
		KindBundle: {Steps: []change.Step{{Name: stepWriteBundle, Do: m.writeBundle}, {Name: "read-bundle", Do: m.readBundle}}, Interruptions: 3},
		KindAgent: {Steps: []change.Step{
			{Name: stepFetchAgent, Do: m.fetchAgent},
			{Name: "prepare-agent", Do: m.prepareAgent},
		}, Interruptions: 10},
	}
}

// Names of steps whose notes others read.
const (
	stepMakeBackup  = "make-backup"
	stepTryRestore  = "try-restore"
	stepWriteBundle = "write-bundle"
)

// endErrand says how an errand ended.
func (m *Manager) endErrand(c *change.Change, e *api.Event) error {
	if c.Cause != nil {
		e.Error = errorOf(c, "")
		return nil
	}
	if c.Kind == KindBundle {
		return endBundle(c, e)
	}
	if c.Kind == KindAgent {
		e.Message, e.Said = "the new agent is ready for its trial", api.Say("agent_ready")
		return nil
	}
	var p errandPlan
	if err := c.ReadPlan(&p); err != nil {
		return err
	}
	var note errandNote
	for _, s := range c.Steps {
		if found, err := c.ReadNote(s.Name, &note); err != nil {
			return err
		} else if found && note.Name != "" {
			p.Name = note.Name
		}
	}
	e.Message = map[string]string{
		KindBackup: "backup %s is made and read back", KindVerify: "backup %s is good: every byte was read",
		KindDrill: "backup %s was restored on trial: it works", KindDelete: "backup %s is deleted",
		KindExport: "backup %s is copied to " + p.Place + ", encrypted",
	}[c.Kind]
	name := p.Name
	if name == "" {
		name = "of every day"
	}
	e.Message, e.Said = fmt.Sprintf(e.Message, name), api.Say("backup_"+c.Kind, "backup", p.Name, "place", p.Place)
	if p.Name == "" {
		e.Said = api.Say("backups_verify")
	}
	e.Backup = &api.Backup{Name: p.Name}
	list, err := m.Backups(context.Background())
	for i := range list {
		if list[i].Name == p.Name {
			e.Backup = &list[i]
		}
	}
	return err
}

// errandNote names the backup that an errand is at work on.
type errandNote struct {
	Name string    `json:"name,omitempty"`
	Made time.Time `json:"made,omitzero"` // of a backup
}

// Trial is how the newest trial restore ended.
type Trial struct {
	Backup string    `json:"backup"`
	When   time.Time `json:"when"`
	Reason string    `json:"reason,omitempty"` // why it failed
}
