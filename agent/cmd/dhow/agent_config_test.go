package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"

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
