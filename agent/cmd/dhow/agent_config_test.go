package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"dhow/agent/daemon"
	"dhow/agent/site"
)

// A mistake in the configuration does not keep an agent from starting that has started before.
func TestAgentConfig(t *testing.T) {
	s := &shell{prefix: t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	if err := s.paths().Make(); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.paths().Config(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const broken = "site: kin-001\nwindwo: 21:00-05:00\n"
	write(broken)
	if _, err := s.agentConfig(log, true); err == nil || !strings.Contains(err.Error(), `dhow.yaml:2:1: unknown key "windwo"`) {
		t.Errorf("the first start: %v", err)
	}
	write("site: kin-001\ncontact: Dr. Kalala\n")
	if _, err := s.agentConfig(log, true); err != nil {
		t.Fatal(err)
	}
	write(broken)
	if c, err := s.agentConfig(log, true); err != nil || c.Contact != "Dr. Kalala" {
		t.Errorf("with a mistake: %+v, %v", c, err)
	}
	write("site: kin-001\n")
	if c, err := s.agentConfig(log, true); err != nil || c.Contact != "" {
		t.Errorf("corrected: %+v, %v", c, err)
	}
	write(broken)
	if c, err := site.LoadConfig(s.paths().GoodConfig()); err != nil || c.Contact != "" {
		t.Errorf("kept: %+v, %v", c, err)
	}
}

// An agent that can't find its own file (there is no /proc) runs, and does not replace itself. On trial it does not.
func TestAgentWithoutItself(t *testing.T) {
	real, parts := executable, newManager
	t.Cleanup(func() { executable, newManager = real, parts })
	executable = func() (string, error) { return "", errors.New("no /proc is mounted") }
	started := errors.New("the agent starts")
	newManager = func(w *wiring) (daemon.Manager, error) {
		if w.itself != nil || w.trial {
			t.Errorf("it has a program: %+v, trial %v", w.itself, w.trial)
		}
		return nil, started
	}
	var said bytes.Buffer
	s := &shell{prefix: t.TempDir(), err: &said}
	if err := errors.Join(s.paths().Make(), os.WriteFile(s.paths().Config(), []byte("site: kin-001\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.proven(t.Context()); !errors.Is(err, started) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(said.String(), "the agent runs and can't replace its own program") {
		t.Errorf("said: %s", said.String())
	}
	t.Setenv("DHOW_TRIAL", "trial")
	if err := s.proven(t.Context()); err == nil || errors.Is(err, started) {
		t.Errorf("on trial: %v", err)
	}
}
