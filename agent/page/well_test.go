package page_test

import (
	"testing"

	"dhow/agent/api"
	"dhow/agent/page/pagetest"
)

// TestAllIsWell: the page is green only when the agent names no need and says how the release runs and what should run.
func TestAllIsWell(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(s *api.Status)
		want string
	}{
		{"all is well", func(*api.Status) {}, "current"},
		{"it starts", func(s *api.Status) { s.Health = "starting" }, "current"},
		{"health unknown", func(s *api.Status) { s.Health = "unknown" }, "needs"},
		{"no word on health", func(s *api.Status) { s.Health = "" }, "needs"},
		{"ill", func(s *api.Status) { s.Health = "unhealthy" }, "needs"},
		{"stopped", func(s *api.Status) { s.Health = "stopped" }, "needs"},
		{"nobody knows what should run", func(s *api.Status) { s.Pinned, s.Manifest = "", 0 }, "needs"},
	} {
		s := pagetest.States()[0]
		tt.make(&s.Status)
		if got := first(bodyClass, shown(t, s, "/")); got != tt.want {
			t.Errorf("%s: shown as %s, want %s", tt.name, got, tt.want)
		}
	}
	for _, kind := range []string{
		api.NeedClock, api.NeedDisk, api.NeedOffline, api.NeedEngine, api.NeedHealth, api.NeedStuck, api.NeedConfig, api.NeedUnknown, api.NeedTrouble,
		api.NeedManifest, api.NeedUnassigned, api.NeedExpired, api.NeedUntrusted, api.NeedBackup, api.NeedDrill,
	} {
		s := pagetest.States()[0]
		s.Status.Needs = []api.Need{{Kind: kind}}
		if got := first(bodyClass, shown(t, s, "/")); got != "needs" {
			t.Errorf("need %s: shown as %s", kind, got)
		}
	}
}
