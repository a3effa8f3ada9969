package main

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/daemon"
	"dhow/agent/site"
	"dhow/agent/words"
)

// phases is an agent that goes from one state to the next as often as it is asked.
type phases struct {
	actor
	mu   sync.Mutex
	list []api.Status
}

func (p *phases) Status(context.Context) (api.Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.list[0]
	if len(p.list) > 1 {
		p.list = p.list[1:]
	}
	return st, nil
}

// TestInstallWaits looks at what install does when an agent is there: it waits for the end of a change and of a trial, and says so.
func TestInstallWaits(t *testing.T) {
	dir, err := os.MkdirTemp("", "dhow") // the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	paths := site.Paths{Prefix: dir}
	var out bytes.Buffer
	s := &shell{words: words.For("en"), prefix: dir, out: &out}
	if running, err := s.awaitIdle(t.Context(), time.Millisecond); err != nil || running != "" || out.Len() > 0 {
		t.Errorf("nobody is there: %q, %v, said %q", running, err, &out)
	}

	m := &phases{list: []api.Status{
		{State: api.StateUpdating, Step: "back-up", StepNumber: 6, StepCount: 11},
		{State: api.StateUpdating, Step: "back-up", StepNumber: 6, StepCount: 11},
		{State: api.StateUndoing, Step: "back-up", StepNumber: 6, StepCount: 11},
		{State: api.StateBackup},
		{State: api.StateIdle, Agent: &api.Agent{Version: "1.1.0", Trial: true}},
		{State: api.StateIdle, Agent: &api.Agent{Version: "1.1.0"}},
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		done <- daemon.New(daemon.Options{
			Paths: paths, Manager: func() (daemon.Manager, error) { close(ready); return m, nil }, Soon: time.Hour,
			Next: func(time.Time) time.Time { return time.Time{} },
		}).Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	<-ready
	for { // until its socket is there
		if _, err := s.client().Pause(t.Context(), api.PauseRequest{}); err == nil {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the agent does not answer")
		}
	}
	running, err := s.awaitIdle(t.Context(), time.Millisecond)
	want := `waiting   for the end of what is under way: updating, step 6 of 11: keeping a safe copy. Nothing is changed here until then; Ctrl-C gives up.
waiting   going back to the old release, step 6 of 11: going back: removing the unfinished copy
waiting   a backup
waiting   agent 1.1.0 is on trial: it takes no orders for some minutes
`
	if err != nil || running != "1.1.0" || out.String() != want {
		t.Errorf("%q, %v, said\n%s", running, err, &out)
	}

	m.mu.Lock()
	m.list = []api.Status{{State: api.StateUpdating}}
	m.mu.Unlock()
	given, stop := context.WithCancel(t.Context())
	stop()
	if _, err := s.awaitIdle(given, time.Millisecond); err == nil {
		t.Error("somebody has given up, and it goes on")
	}
}
