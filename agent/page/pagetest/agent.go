package pagetest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"dhow/agent/api"
	"dhow/agent/page"
)

// Agent plays a state, and notes what it is asked to do.
type Agent struct {
	mu    sync.Mutex
	state State
	calls []string
	fails error
	noted string
}

// Play makes the agent answer a state from now on.
func (a *Agent) Play(s State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.noted = s, ""
}

// Fail makes every order end with an error; nil lets them work again.
func (a *Agent) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails = err
}

// Calls are what it was asked to do since the last time that somebody asked.
func (a *Agent) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

func (a *Agent) now() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *Agent) note(format string, args ...any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprintf(format, args...))
	return a.fails
}

// Status answers that of the state.
func (a *Agent) Status(context.Context) (api.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.state.Status
	s.Noted = a.noted
	return s, a.state.Err
}

// History answers that of the state.
func (a *Agent) History(context.Context) ([]api.Update, error) { s := a.now(); return s.History, s.Err }

// Backups answers those of the state.
func (a *Agent) Backups(context.Context) ([]api.Backup, error) { s := a.now(); return s.Backups, s.Err }

// Update notes what it is asked.
func (a *Agent) Update(_ context.Context, r api.UpdateRequest) (api.Started, error) {
	return api.Started{Change: 17}, a.note("update from=%q release=%q now=%v", r.From, r.Release, r.Now)
}

// Later notes that it is asked.
func (a *Agent) Later(context.Context, api.LaterRequest) (api.Put, error) {
	return api.Put{Later: Now.Add(time.Hour)}, a.note("later")
}

// Noted keeps what it is told.
func (a *Agent) Noted(_ context.Context, receipt string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = receipt
	return nil
}

// Page is the page of the agent, at the hour Now.
func (a *Agent) Page() http.Handler {
	return page.New(page.Options{Agent: a, Now: func() time.Time { return Now }, Machine: func() page.Machine { return a.now().Machine }})
}
