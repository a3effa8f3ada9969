package update

import (
	"time"

	"dhow/agent/change"
	"dhow/agent/site"
)

// factRoutine holds a Routine.
const factRoutine = "routine"

// Routine is what the schedule has done, and what it owes.
type Routine struct {
	Backup time.Time         `json:"backup,omitzero"` // when it last began a backup
	Failed string            `json:"failed,omitempty"`
	Retry  time.Time         `json:"retry,omitzero"`   // after a failure
	Drill  time.Time         `json:"drill,omitzero"`   // when it last began a trial restore
	Again  bool              `json:"again,omitempty"`  // that one had to give way
	Untidy string            `json:"untidy,omitempty"` // why old backups could not be removed
	Copies map[string]Copied `json:"copies,omitempty"`
}

// Copied is what a place has of this site's backups.
type Copied struct {
	Backup string    `json:"backup,omitempty"` // the newest one that is wholly there
	Sent   []string  `json:"sent,omitempty"`   // what this computer has sent there and has not removed since
	When   time.Time `json:"when,omitzero"`
	Failed string    `json:"failed,omitempty"`
	Retry  time.Time `json:"retry,omitzero"`
}

// Pauses before the next try of what the schedule could not do.
const (
	pauseAfterBackup = time.Hour
	pauseAfterCopy   = 20 * time.Minute
)

func (m *Manager) routine() (r Routine, err error) {
	_, err = m.Journal.Fact(factRoutine, &r)
	if r.Copies == nil {
		r.Copies = map[string]Copied{}
	}
	return r, err
}

// due reports whether a schedule has had a moment since last. A last that lies in the future was written by a clock that was wrong.
func (m *Manager) due(expr, standard string, last time.Time) bool {
	if expr == "" {
		expr = standard
	}
	if expr == site.Never {
		return false
	}
	now := m.now()
	if last.IsZero() || last.After(now.Add(time.Hour)) {
		return true
	}
	next := m.nextOf(expr, last)
	return !next.IsZero() && !next.After(now)
}

func (m *Manager) nextOf(expr string, last time.Time) time.Time {
	s, err := site.ParseSchedule(expr, m.config().TimeZone, m.Config.Site)
	if err != nil {
		m.Log.Warn("a schedule can't be read", "schedule", expr, "error", err)
		return time.Time{}
	}
	return s.Next(last)
}

// nextBackup is when the schedule makes the next backup; the zero time means never, or that nobody can tell.
func (m *Manager) nextBackup() time.Time {
	r, err := m.routine()
	expr := m.config().Backup.At
	if expr == "" {
		expr = site.DefaultBackup
	}
	if err != nil || expr == site.Never || m.clockWrong() {
		return time.Time{}
	}
	if !r.Retry.IsZero() {
		return r.Retry
	}
	return m.nextOf(expr, r.Backup)
}

// errand is what the schedule asks for, with the routine as it is when that begins.
type errand struct {
	kind    string
	plan    errandPlan
	routine Routine
}

// startRoutine begins what the schedule asks for while nothing else is to be done, with far also copies that cross a line and those that did not
// work last. It returns nil when nothing is due.
func (m *Manager) startRoutine(far bool) (*change.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := m.unfinished(); err != nil || c != nil {
		return nil, err
	}
	due, err := m.dueErrand(far)
	if err != nil || due == nil {
		return nil, err
	}
	if due.kind == KindBackup {
		m.backedUp = time.Now()
	}
	return m.runner.Start(due.kind, due.plan, map[string]any{factRoutine: due.routine})
}

// dueErrand is what the schedule asks for now, nil for nothing. The caller holds m.mu.
func (m *Manager) dueErrand(far bool) (*errand, error) {
	good, err := m.good()
	if err != nil || good == nil {
		return nil, err
	}
	r, err := m.routine()
	if err != nil {
		return nil, err
	}
	b, now := m.config().Backup, m.now()
	retry := !r.Retry.IsZero() && (!r.Retry.After(now) || r.Retry.Sub(now) > pauseAfterBackup)
	if b.At != site.Never && retry || r.Retry.IsZero() && m.backupDue(b, r.Backup) {
		r.Backup, r.Retry = m.stamp(), time.Time{}
		if r.Drill.IsZero() {
			r.Drill = r.Backup // the first trial comes at its hour, not on the day of the installation
		}
		return &errand{KindBackup, errandPlan{}, r}, nil
	}
	newest, err := m.newestBackup()
	if err != nil || newest == "" {
		return nil, err
	}
	for _, place := range b.Copies {
		c := r.Copies[place]
		if c.Backup == newest || c.Retry.After(now) && c.Retry.Sub(now) <= pauseAfterCopy || !far && (!onThisComputer(place) || c.Failed != "") {
			continue
		}
		return &errand{KindExport, errandPlan{Name: newest, Place: place}, r}, nil
	}
	// A trial takes memory and time that users would miss.
	if b.Drill != site.Never && !m.clockWrong() && m.windowOpen() && (r.Again || m.due(b.Drill, site.DefaultDrill, r.Drill)) {
		r.Drill, r.Again = now, false
		return &errand{KindDrill, errandPlan{Name: newest}, r}, nil
	}
	return nil, nil
}

// newestBackup is the name of the newest portable backup that can be read, "" when there is none.
func (m *Manager) newestBackup() (string, error) {
	list, err := m.Archive.List()
	for _, r := range list {
		if r.Problem == nil {
			return r.Name, err
		}
	}
	return "", err
}
