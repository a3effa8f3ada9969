package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"dhow/agent/backup"
	"dhow/agent/backup/archive"
	"dhow/agent/change"
	"dhow/agent/database"
	"dhow/agent/engine"
)

// Files of a portable backup, beside the volumes and folders.
const (
	// Names of files that dhow install reads as well.
	BackupSettings = "site.env"  // the settings of the site, which the accounts in the dumps fit
	BackupConfig   = "dhow.yaml" // the configuration of the site

	backupDumps   = "dumps/"       // and the service: a dump as database.WriteDump writes it
	backupRelease = "release.json" // the document of the release that ran
	backupHidden  = "volumes/"     // and the name: a tar of a volume that can only be reached through the engine
	backupMeta    = "dhow.json"    // a backupInfo; written last
	maxBackupMeta = 32 << 20       // bytes
)

// backupInfo is what a restore must know of a backup beside its content.
type backupInfo struct {
	Good    Good              `json:"good"`
	Dumps   []database.Dump   `json:"dumps,omitempty"`
	Schemas map[string]string `json:"schemas,omitempty"` // service to schema fingerprint
	Rows    map[string]int64  `json:"rows,omitempty"`    // "service/database.table"
	Volumes map[string]string `json:"volumes,omitempty"` // name of a volume in the engine to its key in the compose file
	Folders map[string]string `json:"folders,omitempty"` // name of a tree to the folder of the computer
	// Loaded names the volumes of database servers that are not copied: the dump of the service brings their content.
	Loaded map[string]string `json:"loaded,omitempty"`
	// Hidden describes the volumes that can only be reached through the engine.
	Hidden map[string]engine.HiddenVolume `json:"hidden,omitempty"`
}

// checkBackup finds the reasons not to begin: nothing runs, a database that can't be dumped, no space.
func (m *Manager) checkBackup(ctx context.Context, t *change.Task) error {
	good, err := m.good()
	if err != nil {
		return err
	}
	if good == nil {
		return refuse("install a release first: dhow update", "there is nothing to back up: no release is installed").In("nothing_to_back_up")
	}
	containers, err := m.Engine.Containers(ctx, good.Project)
	if err != nil {
		return engineTrouble(err)
	}
	if len(containers) == 0 {
		return refuse("start it again: docker compose up -d in "+m.folder(*good), "the system does not run").In("not_running", "folder", m.folder(*good))
	}
	if err := m.checkDatabases(ctx, applyPlan{From: good, To: *good}, containers); err != nil {
		return err
	}
	list, err := m.Archive.List()
	if err != nil {
		return err
	}
	c, err := m.contents(ctx, *good, containers)
	if err != nil {
		return err
	}
	data, err := backup.Size(c.trees)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		data /= 4 // most of it is there already
	}
	return m.checkNeeds([]need{{"a backup", m.Paths.Archive(), data}})
}

// makeBackup puts a portable backup into the archive while people work.
func (m *Manager) makeBackup(ctx context.Context, t *change.Task) error {
	var note errandNote
	if found, err := t.Note(&note); err != nil {
		return err
	} else if !found {
		if note.Made, err = m.backupTime(); err != nil {
			return err
		}
		note.Name = fmt.Sprintf("%s-%04d", note.Made.Format("2006-01-02T150405"), t.Change.ID)
		if err := t.Save(note); err != nil {
			return err
		}
	}
	if _, err := m.Archive.Read(note.Name); err == nil {
		return m.backupMade(t)
	}
	good, err := m.good()
	if err != nil {
		return err
	}
	containers, err := m.Engine.Containers(ctx, good.Project)
	if err != nil {
		return engineTrouble(err)
	}
	c, err := m.contents(ctx, *good, containers)
	if err != nil {
		return err
	}
	if err := t.Fault("create"); err != nil {
		return space(err)
	}
	_, err = m.Archive.Create(ctx, archive.Contents{
		Record: archive.Record{
			Name: note.Name, Site: m.Config.Site, Fleet: m.fleet(), Release: good.Release, Project: good.Project, Made: note.Made,
		},
		Trees: treesFor(c.trees), Files: m.backupFiles(ctx, &c, *good),
	}, archive.Progress(progressOf(t)))
	if err != nil {
		return space(fmt.Errorf("cannot make the backup: %w", err))
	}
	return m.backupMade(t)
}

// backupTime is when a backup is made: later than all that are here, whatever the clock says, since the newest one is never removed.
func (m *Manager) backupTime() (time.Time, error) {
	made := m.stamp()
	list, err := m.Archive.List()
	for _, r := range list {
		if r.Problem == nil && !r.Made.Before(made) {
			made = r.Made.Add(time.Second).UTC()
		}
	}
	return made, err
}

// backupFiles are the streams of a backup. The dumps come first: what a record of the database names is then surely among the files that are
// copied after it.
func (m *Manager) backupFiles(ctx context.Context, c *contents, g Good) []archive.File {
	var files []archive.File
	for _, s := range c.servers {
		s.Databases = nil // their volume is not copied: all that it holds must be in the dump
		files = append(files, archive.File{Name: backupDumps + s.Service, Write: func(w io.Writer) error {
			c.info.Dumps = slices.DeleteFunc(c.info.Dumps, func(d database.Dump) bool { return d.Service == s.Service })
			d, err := database.WriteDump(ctx, m.Engine.ExecFast, s, w, nil)
			if errors.Is(err, database.ErrNoDatabases) { // and a restore empties nothing
				maps.DeleteFunc(c.info.Loaded, func(_, service string) bool { return service == s.Service })
				return nil
			}
			if err != nil {
				return fmt.Errorf("database %s: %w", s.Service, err)
			}
			c.info.Dumps = append(c.info.Dumps, d)
			if c.info.Schemas[s.Service], err = database.Fingerprint(ctx, m.Engine.Exec, s); err != nil {
				return fmt.Errorf("database %s: %w", s.Service, err)
			}
			for table, n := range d.Rows {
				c.info.Rows[s.Service+"/"+table] = n
			}
			return nil
		}})
	}
	files = append(files, m.hiddenFiles(ctx, c, g)...)
	write := func(name string, data func() ([]byte, error)) {
		files = append(files, archive.File{Name: name, Write: func(w io.Writer) error {
			b, err := data()
			if err != nil {
				return err
			}
			_, err = w.Write(b)
			return err
		}})
	}
	write(BackupSettings, func() ([]byte, error) { return readBounded(m.Paths.Settings(), 1<<20) })
	write(BackupConfig, func() ([]byte, error) { return readBounded(m.Paths.Config(), 1<<20) })
	write(backupRelease, func() ([]byte, error) {
		r, err := m.releaseOf(g)
		if err != nil {
			return nil, err
		}
		return r.Encode()
	})
	write(backupMeta, func() ([]byte, error) { return json.Marshal(c.info) })
	return files
}

// infoOf reads what a restore must know of a backup.
func (m *Manager) infoOf(ctx context.Context, name string) (info backupInfo, err error) {
	r, err := m.Archive.OpenFile(ctx, name, backupMeta)
	if err != nil {
		return info, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxBackupMeta))
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("backup %s: %w: %s: %w", name, archive.ErrDamaged, backupMeta, err)
	}
	for tree, folder := range info.Folders {
		if bindName(folder) != tree || !filepath.IsAbs(folder) || filepath.Clean(folder) != folder {
			return info, fmt.Errorf("backup %s: %w: folder %q", name, archive.ErrDamaged, folder)
		}
	}
	return info, nil
}

func (m *Manager) fleet() string {
	if current, err := m.Trust.Current(); err == nil {
		return current.Fleet.Name
	}
	return ""
}

func treesFor(list []backup.Tree) []archive.Tree {
	var trees []archive.Tree
	for _, t := range list {
		trees = append(trees, archive.Tree{Name: t.Name, Path: t.Path})
	}
	return trees
}

// backupMade records that a backup was made, in the transaction that ends the step.
func (m *Manager) backupMade(t *change.Task) error {
	r, err := m.routine()
	if err != nil {
		return err
	}
	r.Failed, r.Retry = "", time.Time{}
	return t.Set(factRoutine, r)
}

// backupEnded remembers why a backup was not made, and when to try again.
func (m *Manager) backupEnded(c *change.Change) map[string]any {
	r, err := m.routine()
	if err != nil {
		return nil
	}
	r.Retry = m.now()
	if c.Cause.Class != change.ClassReplaced {
		r.Failed, r.Retry = c.Cause.Message, m.now().Add(pauseAfterBackup)
	}
	return map[string]any{factRoutine: r}
}
