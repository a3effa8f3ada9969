package page

import (
	"context"
	"fmt"
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
	Error   error     // it could not say how things are
	at      time.Time // when the answer came
	listed  time.Time
}

// asker asks the agent. All who want to know at the same time share one question: an engine that hangs makes an answer late, and nobody who looks may
// make it later for others. How many can wait is bounded by the connections that the guard allows, and nobody waits longer than her own context.
type asker struct {
	agent   Agent
	machine func() Machine

	mu     sync.Mutex
	last   *snapshot
	asking *question  // whose answer is good for who looks now
	site   api.Status // who the site is, as far as the agent has ever said
}

// question is one that the agent has not answered yet.
type question struct {
	waiting int // how many; under the asker's mu
	cancel  context.CancelFunc
	done    chan struct{}
	said    snapshot // once done
}

// look returns what the agent has answered at most age ago, or answers to the question under way; with age 0 it is asked anew.
func (a *asker) look(ctx context.Context, age time.Duration) snapshot {
	a.mu.Lock()
	if a.last != nil && time.Since(a.last.at) < age {
		defer a.mu.Unlock()
		return *a.last
	}
	q := a.asking
	if q == nil || age == 0 {
		q = a.begin(ctx)
	}
	q.waiting++
	a.mu.Unlock()
	select {
	case <-q.done:
		return q.said
	case <-ctx.Done():
	}
	a.mu.Lock()
	q.waiting--
	alone := q.waiting == 0
	if alone && a.asking == q {
		a.asking = nil
	}
	s := a.known(snapshot{Error: ctx.Err()})
	a.mu.Unlock()
	if alone { // nobody wants to know any more
		q.cancel()
		<-q.done
	}
	return s
}

// begin asks the agent, for all who wait and not only for the one with ctx. It is called with mu.
func (a *asker) begin(ctx context.Context) *question {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	q := &question{cancel: cancel, done: make(chan struct{})}
	a.asking = q
	last := a.last
	go func() {
		defer close(q.done)
		defer cancel()
		s := a.ask(ctx, last)
		a.mu.Lock()
		defer a.mu.Unlock()
		current := a.asking == q // nothing was ordered meanwhile
		if current {
			a.asking = nil
		}
		switch {
		case s.Error != nil:
			s = a.known(s) // and is asked again by the next
		case current:
			a.site, a.last = s.Status, &s
		}
		q.said = s
	}()
	return q
}

// ask is one question; last is what the agent said before. A panic ends as an error, as it would in the handler of a request, and not the program.
func (a *asker) ask(ctx context.Context, last *snapshot) (s snapshot) {
	defer func() {
		if p := recover(); p != nil {
			s.Error = fmt.Errorf("internal error: %v", p)
		}
	}()
	if s.Status, s.Error = a.agent.Status(ctx); s.Error != nil {
		return s
	}
	if last != nil && time.Since(last.listed) < listsEvery && sameChange(last.Status, s.Status) {
		s.History, s.Backups, s.Machine, s.listed = last.History, last.Backups, last.Machine, last.listed
	} else {
		if s.History, s.Error = a.agent.History(ctx); s.Error == nil {
			s.Backups, s.Error = a.agent.Backups(ctx)
		}
		s.Machine = a.machine()
		s.listed = time.Now()
	}
	s.at = time.Now()
	return s
}

// known tells of a snapshot that has failed, under mu, whose site it is, in which language, and whom to call, as the agent has said it last.
func (a *asker) known(s snapshot) snapshot {
	if s.Status.Site == "" {
		s.Status = api.Status{Site: a.site.Site, Fleet: a.site.Fleet, Language: a.site.Language, Contact: a.site.Contact}
	}
	return s
}

// forget lets the next look ask anew, also while a question is under way that began before: something was ordered.
func (a *asker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.asking = nil, nil
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
