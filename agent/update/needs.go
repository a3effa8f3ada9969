package update

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
)

// offlineDays is how many days without an answer of any source are too many.
const offlineDays = 7

// Free space, in bytes, at the folder of the agent and at that of the engine, below which something should be done, and below which not even the
// journal is safe. The doctor goes by them, too.
const (
	LittleSpace = 2_000_000_000
	NoSpace     = 200_000_000
)

// needs are what a person must see to, the worst first. It reads what Status has found out by then; gone says that the engine does not answer.
func (m *Manager) needs(s *api.Status, gone bool) (list []api.Need) {
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
	if s.State == api.StateStuck {
		add(api.NeedStuck, "code", s.Code)
	}
	if e := configMistake(m.Paths); e != nil {
		add(api.NeedConfig, "file", e.Path, "line", strconv.Itoa(max(1, e.Line)), "column", strconv.Itoa(max(1, e.Column)), "problem", e.Message)
	}
	if gone {
		add(api.NeedEngine)
	}
	changing := s.State == api.StateUpdating || s.State == api.StateUndoing || s.State == api.StateStuck
	if !gone && !changing && (s.Health == "unhealthy" || s.Health == "stopped") {
		add(api.NeedHealth, "release", s.Release)
	}
	if missing := m.missingRoom(); missing > 0 {
		add(api.NeedDisk, "missing", size(missing))
	}
	if m.clockWrong() {
		add(api.NeedClock, "now", m.now().Local().Format("2006-01-02 15:04"))
	} else if s.LastCheck != nil && slices.ContainsFunc(m.config().Sources, func(s string) bool { return !onThisComputer(s) }) {
		if days := int(m.now().Sub(*s.LastCheck) / (24 * time.Hour)); days >= offlineDays {
			add(api.NeedOffline, "days", strconv.Itoa(days))
		}
	}
	return list
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
		return &site.ConfigError{Path: p.Config(), Message: "the file is gone"}
	}
	return &site.ConfigError{Path: p.Config(), Message: err.Error()}
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
