package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/agent/backup/archive"
	"dhow/agent/offsite"
	"dhow/agent/site"
	"dhow/agent/update"
)

const (
	identityVariable = "DHOW_PASSPHRASE" // of the backup key
	maxBackupFile    = 1 << 20           // bytes of the settings or the configuration in a backup
)

// beginning is the backup from which a new computer begins, and what it says of the site.
type beginning struct {
	name     string
	from     string // a bundle, "" for the sources
	config   *site.Config
	settings map[string]string
}

// fetchBackup brings a backup into the archive of this computer. Nothing else is written; repeated, it goes on where it was.
func (s *shell) fetchBackup(ctx context.Context, paths site.Paths, in installation) (*beginning, error) {
	there, err := site.LoadConfig(paths.Config())
	if staged, _ := filepath.Glob(filepath.Join(paths.Stacks(), "*")); err == nil && (there.Restore == nil || len(staged) > 0) {
		return nil, api.Fail(api.CodeRefused, "put the data of a backup in place with: dhow backup restore NAME", "this computer is site %s already", there.Site).In("site_already", "site", there.Site)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := paths.Make(); err != nil {
		return nil, err
	}
	release, err := site.Lock(paths.LockFile())
	if errors.Is(err, site.ErrLocked) {
		return nil, api.Fail(api.CodeBusy, "stop it first", "an agent is running at this site").In("agent_runs")
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	own, err := archive.Open(paths.Archive())
	if err != nil {
		return nil, err
	}
	b := &beginning{name: in.backup}
	if in.from != "" {
		if b.from, err = filepath.Abs(in.from); err != nil {
			return nil, err
		}
	}
	if info, serr := os.Stat(filepath.Join(in.restore, "records")); serr == nil && info.IsDir() {
		err = b.copyFrom(ctx, own, in.restore)
	} else {
		err = s.copyBack(ctx, paths, b, own, in)
	}
	if err != nil {
		return nil, err
	}
	record, err := own.Read(b.name)
	if err != nil {
		return nil, err
	}
	if in.config.Site != "" && in.config.Site != record.Site {
		return nil, api.Fail(api.CodeNotTrusted, "use a backup of this site, or --site "+record.Site,
			"backup %s was made at site %s, not at %s", b.name, record.Site, in.config.Site).
			In("backup_of_other", "backup", b.name, "site", record.Site, "here", in.config.Site)
	}
	text, err := backupFile(ctx, own, b.name, update.BackupConfig)
	if err != nil {
		return nil, err
	}
	if b.config, err = site.ParseConfig(text); err != nil {
		return nil, fmt.Errorf("the configuration in backup %s: %w", b.name, err)
	}
	if text, err = backupFile(ctx, own, b.name, update.BackupSettings); err != nil {
		return nil, err
	}
	if b.settings, err = site.ParseSettings(text); err != nil {
		return nil, fmt.Errorf("the settings in backup %s: %w", b.name, err)
	}
	s.line("backup", "install.backup_of", "backup", b.name, "site", record.Site, "release", record.Release, "size", s.words.Size(record.Bytes))
	return b, nil
}

// copyFrom takes a backup from the archive of another disk.
func (b *beginning) copyFrom(ctx context.Context, own *archive.Archive, dir string) error {
	other, err := archive.Open(dir)
	if err != nil {
		return err
	}
	list, err := other.List()
	if err != nil {
		return err
	}
	if b.name == "" {
		for _, r := range list {
			if r.Problem == nil {
				b.name = r.Name
				break
			}
		}
	}
	if b.name == "" {
		return api.Fail(api.CodeUsage, "name the folder archive of a Dhow site", "there is no backup in %s", dir).In("no_backup_there", "folder", dir)
	}
	objects, err := other.Objects(b.name)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := copyObject(ctx, own, other, o); err != nil {
			return fmt.Errorf("cannot copy backup %s: %w", b.name, err)
		}
	}
	return nil
}

func copyObject(ctx context.Context, own, other *archive.Archive, o archive.Object) error {
	r, err := other.OpenObject(o.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	return own.PutObject(ctx, o, r)
}

// copyBack takes a backup from a place with encrypted copies.
func (s *shell) copyBack(ctx context.Context, paths site.Paths, b *beginning, own *archive.Archive, in installation) error {
	switch {
	case in.config.Site == "":
		return api.Fail(api.CodeUsage, "see: dhow install --help", "the name of the site is missing: --site NAME").In("site_missing")
	case in.identity == "":
		return api.Fail(api.CodeUsage, "the central team keeps it: keys/backup.key of the fleet", "copies are encrypted: --identity FILE is missing").In("identity_missing")
	}
	f, err := os.Open(in.identity)
	if err != nil {
		return api.Fail(api.CodeUsage, "check the path", "cannot read the backup key: %v", err).In("key_unreadable", "cause", err.Error())
	}
	defer f.Close()
	keys, err := offsite.ReadIdentities(f, s.identityPassphrase)
	if err != nil {
		return copyError(fmt.Errorf("%s: %w", in.identity, err))
	}
	settings, err := wantedSettings(paths, in, nil)
	if err != nil {
		return err
	}
	place, err := offsite.OpenPlace(ctx, in.restore, func(name string) string { return settings[name] })
	if err != nil {
		return copyError(err)
	}
	defer place.Close()
	if b.name == "" {
		names, err := offsite.List(ctx, place, in.config.Site)
		if err != nil {
			return copyError(err)
		}
		if len(names) == 0 {
			return api.Fail(api.CodeUsage, "check --site and the place", "%s holds no backup of site %s", in.restore, in.config.Site).In("no_backup_of_site", "place", in.restore, "site", in.config.Site)
		}
		b.name = newest(names)
	}
	show := s.newProgress(s.out)
	err = offsite.Fetch(ctx, place, in.config.Site, b.name, keys, sink{own}, func(done, total int64) {
		show.show(api.Event{Change: 1, Step: "fetch-copy", StepNumber: 1, StepCount: 1, Done: done, Total: total})
	})
	show.end()
	return copyError(err)
}

// newest is the last name: names begin with the time.
func newest(names []string) string {
	best := names[0]
	for _, n := range names {
		best = max(best, n)
	}
	return best
}

func copyError(err error) error {
	if err == nil {
		return nil
	}
	code := api.CodeNotTrusted
	switch {
	case errors.Is(err, offsite.ErrUnreachable):
		code = api.CodeUnreachable
	case errors.Is(err, offsite.ErrPassphrase), errors.Is(err, offsite.ErrKey), errors.Is(err, offsite.ErrSpec),
		errors.Is(err, offsite.ErrNoPlace), errors.Is(err, offsite.ErrNoCopy):
		code = api.CodeUsage
	}
	return api.Fail(code, offsite.Hint(err), "%v", err)
}

// identityPassphrase opens the backup key.
func (s *shell) identityPassphrase() ([]byte, error) {
	if text, ok := os.LookupEnv(identityVariable); ok {
		return []byte(text), nil
	}
	f, ok := s.in.(*os.File)
	if !ok || !terminal(s.in) {
		return nil, api.Fail(api.CodeUsage, "run this on a terminal, or set $"+identityVariable, "the passphrase of the backup key is needed").In("passphrase_needed", "variable", identityVariable)
	}
	s.printf("%s ", s.say("install.passphrase"))
	text, err := term.ReadPassword(int(f.Fd()))
	s.printf("\n")
	return text, err
}

// sink puts the objects of a copy into the archive.
type sink struct{ *archive.Archive }

// HasObject tells offsite.Fetch what came before the line broke the last time.
func (k sink) HasObject(o offsite.Object) bool {
	r, err := k.OpenObject(o.Name)
	if err != nil {
		return false
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return err == nil && n == o.Size && hex.EncodeToString(sum.Sum(nil)) == o.SHA256
}

// PutObject implements offsite.Sink.
func (k sink) PutObject(ctx context.Context, o offsite.Object, r io.Reader) error {
	return k.Archive.PutObject(ctx, archive.Object{Name: o.Name, Size: o.Size, SHA256: o.SHA256}, r)
}

func backupFile(ctx context.Context, a *archive.Archive, backup, file string) ([]byte, error) {
	r, err := a.OpenFile(ctx, backup, file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxBackupFile+1))
	if err == nil && len(data) > maxBackupFile {
		err = fmt.Errorf("backup %s: %s is larger than %s", backup, file, size(maxBackupFile))
	}
	return data, err
}
