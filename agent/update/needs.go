package update

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/manifest/trust"
)

const (
	// offlineDays is how many days without a good answer of any source are too many.
	offlineDays = 7
	// backupLate is how long after its hour a backup may be missing: a computer may be off over the weekend.
	backupLate = 3 * 24 * time.Hour
)

// Free space, in bytes, at the folder of the agent and at that of the engine, below which something should be done, and below which not even the
// journal is safe. The doctor goes by them, too.
const (
	LittleSpace = 2_000_000_000
	NoSpace     = 200_000_000
)

// found is what Status has found out, and what stands behind it. Zero means that all is well, but for the fields of Status.
type found struct {
	*api.Status
	now        time.Time // zero while the clock is wrong
	says       string    // the clock that is wrong
	gone       bool      // the engine does not answer
	mistake    *site.ConfigError
	missing    int64 // bytes that must be freed
	trouble    string
	manifest   error     // why there is none
	assignment error     // why it does not name this site
	expires    time.Time // the manifest
	poll       Poll
	far        bool   // there are sources beyond this computer
	failed     string // why the last backup could not be made
	unreadable bool   // the backups can't be read, or the newest one is damaged
	due        time.Time
}

// needs are what a person must see to, the worst first. Whatever people are told rests on these: when a fact behind "all is well" is unknown, too
// old, refused or failed, there is a need (see the package comment).
func (k found) needs() (list []api.Need) {
	add := func(kind string, args ...string) {
		n := api.Need{Kind: kind}
		for i := 0; i+1 < len(args); i += 2 {
			if n.Args == nil {
				n.Args = map[string]string{}
			}
			n.Args[args[i]] = args[i+1]
		}
		list = append(list, n)
	}
	if k.State == api.StateStuck {
		add(api.NeedStuck, "code", k.Code)
	}
	if e := k.mistake; e != nil {
		args := append(e.Problem(), "file", e.Path)
		if e.Line > 0 {
			args = append(args, "line", strconv.Itoa(e.Line))
		}
		if e.Column > 0 {
			args = append(args, "column", strconv.Itoa(e.Column))
		}
		add(api.NeedConfig, args...)
	}
	switch {
	case k.gone:
		add(api.NeedEngine)
	case k.Changing() || k.Release == "":
	case k.Health == "unhealthy" || k.Health == "stopped":
		add(api.NeedHealth, "release", k.Release)
	case k.Health != "healthy" && k.Health != "starting":
		add(api.NeedUnknown, "release", k.Release)
	}
	if k.trouble != "" {
		add(api.NeedTrouble)
	}
	if k.missing > 0 {
		add(api.NeedDisk, "missing", amountText(k.missing), "missing_bytes", strconv.FormatInt(k.missing, 10))
	}
	if k.says != "" {
		add(api.NeedClock, "now", k.says)
	}
	switch {
	case k.manifest != nil && k.Release == "" && errors.Is(k.manifest, trust.ErrNothing): // a new computer, which is said anyway
	case k.manifest != nil:
		add(api.NeedManifest)
	case k.assignment != nil:
		add(api.NeedUnassigned)
	case !k.now.IsZero() && !k.expires.IsZero() && k.now.After(k.expires):
		add(api.NeedExpired, "day", k.expires.Format(time.DateOnly))
	}
	days := 0
	if since := k.poll.since(); !since.IsZero() && !k.now.IsZero() {
		days = int(k.now.Sub(since) / (24 * time.Hour))
	}
	switch late := k.far && days >= offlineDays; {
	// A registry that lags behind a stick is no attack, until it goes on for long.
	case k.poll.Refused != "" && (k.poll.Refused != "stale" || late):
		add(api.NeedUntrusted)
	case late:
		add(api.NeedOffline, "days", strconv.Itoa(days))
	}
	if k.Release != "" && (k.failed != "" || k.unreadable || !k.now.IsZero() && !k.due.IsZero() && k.now.Sub(k.due) > backupLate) {
		add(api.NeedBackup)
	}
	if d := k.LastDrill; d != nil && !d.OK {
		add(api.NeedDrill, "backup", d.Backup)
	}
	return list
}

// far reports whether a source lies beyond this computer.
func (m *Manager) far() bool {
	return slices.ContainsFunc(m.config().Sources, func(s string) bool { return !onThisComputer(s) })
}

// backupExpected is when the schedule should have made a backup after the newest one that is good; zero when it has none to make.
func (m *Manager) backupExpected(s *api.Status, good *Good) time.Time {
	expr := cmp.Or(m.config().Backup.At, site.DefaultBackup)
	if good == nil || expr == site.Never {
		return time.Time{}
	}
	last := good.Since
	if s.LastBackup != nil {
		last = *s.LastBackup
	}
	return m.nextOf(expr, last)
}

// missingRoom is how many bytes must be freed, on the agent's disk for its own safety, or before what failed for want of space can go on; 0 for none.
func (m *Manager) missingRoom() (missing int64) {
	if free, err := site.Free(m.Paths.State()); err == nil {
		missing = max(0, NoSpace-free)
	}
	m.mu.Lock()
	short := m.short
	m.mu.Unlock()
	if short == nil {
		return missing
	}
	if free, err := site.Free(short.where); err == nil {
		missing = max(missing, short.bytes-free)
	}
	return missing
}

// configMistake is why the configuration can't be used as it stands now, nil when it can.
func configMistake(p site.Paths) *site.ConfigError {
	_, err := site.LoadConfig(p.Config())
	var e *site.ConfigError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, fs.ErrNotExist):
		return &site.ConfigError{Path: p.Config(), Message: "the file is gone", Kind: "gone"}
	}
	return &site.ConfigError{Path: p.Config(), Message: err.Error(), Kind: "other", Args: []string{"cause", err.Error()}}
}

// engineAway asks the engine whether it answers. err is what it last said, nil when it was not asked.
func (m *Manager) engineAway(ctx context.Context, asked bool, err error) bool {
	if asked {
		return errors.Is(err, engine.ErrNotRunning)
	}
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	return m.engineGone(ctx)
}

// statusOfTime fills in when what is ready will be applied, and how long things take here.
func (m *Manager) statusOfTime(s *api.Status) error {
	past, err := m.updatesDone()
	if err != nil {
		return err
	}
	s.UsualSeconds = usualDowntime(past).Round(time.Second).Seconds()
	later, err := m.later()
	if err != nil {
		return err
	}
	if later != nil {
		end := later.end(m.now())
		s.Later = &end
	}
	if s.State == api.StateReady {
		m.mu.Lock()
		s.NextApply, err = m.nextApply()
		m.mu.Unlock()
		return err
	}
	c, err := m.unfinished()
	if err != nil || c == nil {
		return err
	}
	live, progress, began := m.hub.atWork(c.ID)
	at := atWork{}
	if live != nil {
		_, step := live.Current()
		c, s.Done, s.Total = live, progress.Done, progress.Total
		at = atWork{done: progress.Done, total: progress.Total}
		if began.step == step.Name {
			at.elapsed = time.Since(began.at)
		}
	}
	if c.Kind == KindApply || c.Kind == KindRollback || c.Kind == KindRestore {
		s.LeftSeconds = left(c, paceOf(past), at).Round(time.Second).Seconds()
	}
	return nil
}
