package page

import (
	"context"
	"sync"
	"time"

	"dhow/agent/api"
)

// Times.
const (
	answerTime = 20 * time.Second // for one answer of the agent
	writeTime  = 15 * time.Second // for one answer to a browser
	fresh      = 500 * time.Millisecond
	listsEvery = 15 * time.Second // how often the lists of details are asked for while somebody looks
)

// snapshot is what the agent has said at one time.
type snapshot struct {
	Status  api.Status
	History []api.Update
	Backups []api.Backup
	Machine Machine
	Error   error // it could not say how things are
	at      time.Time
	listed  time.Time
}

// asker asks the agent, one question at a time, and gives everybody who wants to know the same answer.
type asker struct {
	agent   Agent
	machine func() Machine

	mu   sync.Mutex
	last *snapshot
	site api.Status // who the site is, as far as the agent has ever said
}

// look returns what the agent says, at most age ago.
func (a *asker) look(ctx context.Context, age time.Duration) snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != nil && time.Since(a.last.at) < age {
		return *a.last
	}
	s := snapshot{at: time.Now()}
	s.Status, s.Error = a.agent.Status(ctx)
	if s.Error != nil {
		return a.known(s) // and is asked again by the next
	}
	a.site = s.Status
	if l := a.last; l != nil && time.Since(l.listed) < listsEvery && sameChange(l.Status, s.Status) {
		s.History, s.Backups, s.Machine, s.listed = l.History, l.Backups, l.Machine, l.listed
	} else {
		s.listed = s.at
		s.History, s.Error = a.agent.History(ctx)
		if s.Error == nil {
			s.Backups, s.Error = a.agent.Backups(ctx)
		}
		s.Machine = a.machine()
		if s.Error != nil {
			return a.known(s)
		}
	}
	a.last = &s
	return s
}

// known tells of a snapshot that has failed whose site it is, in which language, and whom to call, as the agent has said it last.
func (a *asker) known(s snapshot) snapshot {
	if s.Status.Site == "" {
		s.Status = api.Status{Site: a.site.Site, Fleet: a.site.Fleet, Language: a.site.Language, Contact: a.site.Contact}
	}
	return s
}

// forget lets the next look ask anew: something was ordered.
func (a *asker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = nil
}

// sameChange reports whether nothing has begun or ended between two answers.
func sameChange(a, b api.Status) bool {
	last := func(s api.Status) uint64 {
		if s.LastUpdate == nil {
			return 0
		}
		return s.LastUpdate.ID
	}
	return a.State == b.State && a.Release == b.Release && last(a) == last(b) && (a.LastBackup == nil) == (b.LastBackup == nil) &&
		(a.LastBackup == nil || a.LastBackup.Equal(*b.LastBackup))
}
