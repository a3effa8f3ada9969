//go:build e2e

package e2e

import (
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
)

// TestBusy has several hands at one site at once: one wins, the others are told.
func TestBusy(t *testing.T) {
	centre := ledgerCentre(t)
	source := folderSource(t)
	s := newSite(t, centre, "busy")
	centre.pin(t, s.name, "1.0.0", source)
	s.install(source)
	s.must("update", "--now")

	step(t, "a second agent")
	second := command(t, s.prefix, nil, world.dhow, "--prefix", s.prefix, "agent")
	if second.Code != api.CodeBusy {
		t.Errorf("exit code %d, want %d: %s", second.Code, api.CodeBusy, second)
	}
	mentions(t, second, "another agent")

	step(t, "two updates at once, and a rollback in the middle")
	centre.pin(t, s.name, "1.1.0", source)
	var results [3]Result
	var all sync.WaitGroup
	for i, args := range [][]string{{"update", "--now"}, {"update", "--now"}, {"rollback", "--to", "1.0.0", "--data", "restore", "--yes"}} {
		all.Go(func() {
			results[i] = s.run(args...)
		})
	}
	var sawStatus bool
	poll(t, time.Minute, "status while an update runs", func() (bool, string) {
		st := s.status()
		sawStatus = sawStatus || st.State == api.StateUpdating && st.Step != ""
		return sawStatus || st.Release == "1.1.0", st.State
	})
	if !sawStatus {
		t.Error("status never told of the running update")
	}
	all.Wait()
	won := 0
	for _, r := range results {
		switch r.Code {
		case api.CodeOK:
			won++
		case api.CodeBusy, api.CodeRefused, api.CodeUsage:
			if r.Err == "" {
				t.Errorf("nothing was said: %s", r)
			}
		default:
			t.Errorf("neither done nor told: %s", r)
		}
	}
	if won == 0 {
		t.Errorf("nobody won: %v", results)
	}
	s.settled(time.Minute)
	s.sane("1.1.0")
	applied := 0
	for _, u := range s.history() {
		if u.To == "1.1.0" {
			applied++
		}
	}
	if applied != 1 {
		t.Errorf("1.1.0 was applied %d times: %+v", applied, s.history())
	}

	step(t, "no agent")
	s.stop()
	r := s.expect(api.CodeNoAgent, "status")
	mentions(t, r, "agent")
	s.expect(api.CodeNoAgent, "update", "--now")
	s.start()
	s.sane("1.1.0")
}
