package main

import (
	"context"
	"time"

	"dhow/agent/api"
)

const (
	idleEvery   = 500 * time.Millisecond
	idleSilence = 3 // answers in a row that an agent may owe
)

// awaitIdle waits while a change is under way, or another program of the agent is tried, and says for what. An agent that does not answer is no reason
// to wait: it is what an install may be there to mend. It returns the version of the one that answers.
func (s *shell) awaitIdle(ctx context.Context, every time.Duration) (running string, err error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for told, silent := "", 0; ; {
		ask, cancel := context.WithTimeout(ctx, 20*time.Second)
		st, err := s.client().Status(ask)
		cancel()
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && (api.Code(err) == api.CodeNoAgent || silent+1 >= idleSilence):
			return "", nil
		case err != nil:
			silent++
		case !underWay(st):
			if st.Agent != nil {
				running = st.Agent.Version
			}
			return running, nil
		default:
			silent = 0
			if what := s.underWayText(st); told == "" {
				s.line("waiting", "install.waits", "what", what)
				told = what
			} else if what != told {
				s.printf("%s\n", s.lineOf("waiting", what))
				told = what
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *shell) underWayText(st api.Status) string {
	switch {
	case st.State == api.StateBackup:
		return s.say("install.waits_backup")
	case st.Agent != nil && st.Agent.Trial:
		return s.say("self.trial", "version", st.Agent.Version)
	}
	return s.stateText(st)
}
