package update

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/manifest/trust"
)

// Three times are told apart. now is what the computer says: hours and pauses go by it, and every moment that was kept may lie years on either
// side of it. stamp is what is written down for people: never before what has certainly passed. Durations go by the monotonic clock where one
// process has seen both ends.

func (m *Manager) now() time.Time { return m.Now().UTC() }

func (m *Manager) stamp() time.Time { return m.clock().Time() }

// clock is what this site knows of the present.
func (m *Manager) clock() trust.Clock {
	c := m.Trust.Clock()
	c.Now = m.now()
	return c
}

// clockWrong reports whether the computer's clock is behind a moment that has certainly passed.
func (m *Manager) clockWrong() bool { return m.clock().Wrong() }

// clockOrNone is now, zero while the clock is wrong.
func (m *Manager) clockOrNone() time.Time {
	if m.clockWrong() {
		return time.Time{}
	}
	return m.now()
}

// windowOpen reports whether the facility allows downtime now. While the clock is wrong no hours can be told; who has given none needs none.
func (m *Manager) windowOpen() bool {
	w := m.window()
	return w.Always() || !m.clockWrong() && w.Open(m.now())
}

// trustWarnings are what a person should know of the manifest, of what ends soon, and of the clock.
func (m *Manager) trustWarnings() (list []told) {
	add := func(notices []trust.Notice) {
		for _, n := range notices {
			list = append(list, told{n.Text, api.Say(noticeKinds[n.Kind], n.Args...)})
		}
	}
	current, err := m.Trust.Current()
	if err == nil {
		add(current.Notices)
	} else if c := m.clock(); c.Wrong() {
		add(c.Notices(c.Now))
	}
	if seen, serr := Seen(m.Journal); errors.Is(err, trust.ErrNothing) && serr == nil && seen.Number > 0 {
		list = append(list, told{
			fmt.Sprintf("the signed manifest was lost from this disk: what runs goes on, and manifest %d or a newer one is taken "+
				"from a source, or from a stick with: dhow update --from PATH", seen.Number),
			api.Say("warn_manifest_lost", "number", strconv.FormatInt(seen.Number, 10), "command", "dhow update --from PATH"),
		})
	}
	if m.Network != nil {
		if said := m.Network.Heard(); said.Server != "" {
			add(m.clock().Doubts(said.Server, said.Time))
		}
	}
	return list
}

// noticeKinds are the sentences of what package trust warns of.
var noticeKinds = map[string]string{
	trust.NoticeClockWrong: "warn_clock", trust.NoticeClockAhead: "warn_clock_ahead", trust.NoticeClockDoubt: "warn_clock_doubt",
	trust.NoticeManifestExpires: "warn_manifest_expires", trust.NoticeManifestExpired: "warn_manifest_expired",
	trust.NoticeRootExpires: "warn_root_expires", trust.NoticeRootExpired: "warn_root_expired",
}

// since is when something began, for this process.
type since struct {
	change uint64
	step   string
	at     time.Time // with its monotonic part
}

// begins notes that a step has come to a point, unless it has been there before, and returns for how long it has.
func (s *since) begins(c *change.Change, step string) time.Duration {
	if s.change != c.ID || s.step != step {
		*s = since{c.ID, step, time.Now()}
	}
	return time.Since(s.at)
}

// awayFor is for how long users have been kept out by a change since closed. Between the closing and now the clock may have been set by years: it
// counts only where the agent has been started anew in between. Where nothing was closed nobody was kept out.
func (m *Manager) awayFor(c *change.Change, closed time.Time) time.Duration {
	if closed.IsZero() {
		return 0
	}
	m.mu.Lock()
	shut := m.shut
	m.mu.Unlock()
	if shut.change == c.ID {
		return time.Since(shut.at)
	}
	return max(0, m.stamp().Sub(closed))
}

// Times without a clock: when the clock is wrong, the schedule's backup comes when the agent has run for firstBackup, and then every
// nextBackup; the computer may be switched on for some hours a day, and start with the same wrong hour each time.
const (
	lostFirstBackup = time.Hour
	lostNextBackup  = 24 * time.Hour
)

// backupDue reports whether the schedule asks for a backup.
func (m *Manager) backupDue(b site.Backup, last time.Time) bool {
	if b.At == site.Never {
		return false
	}
	if m.clockWrong() {
		return time.Since(m.begun) >= lostFirstBackup && (m.backedUp.IsZero() || time.Since(m.backedUp) >= lostNextBackup)
	}
	return m.due(b.At, site.DefaultBackup, last)
}
