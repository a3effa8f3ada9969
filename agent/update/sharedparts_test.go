package update

import (
	"fmt"
	"strings"
	"testing"

	"dhow/agent/api"
	"dhow/manifest"
)

// TestSharedPartsInAPause: what other sites of a large fleet need is asked of nobody who may not be asked now.
func TestSharedPartsInAPause(t *testing.T) {
	c := newCentre(t, 100)
	for i := range 600 {
		if err := c.fleet.Fleet().SetSite(fmt.Sprintf("site-%03d", i), manifest.Site{Ring: "pilot"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.fleet.SaveFleet(); err != nil {
		t.Fatal(err)
	}
	c.files = c.fleet.Publish()
	s := newThinSite(t, c, c.line(), nil)
	s.untilChecked(ready)
	missing, err := s.Trust.MissingParts()
	if err != nil || len(missing) == 0 {
		t.Fatalf("no part is missing: %v", err)
	}
	current, err := s.Trust.Current()
	if err != nil {
		t.Fatal(err)
	}
	share := func() (docs int, warnings string) {
		t.Helper()
		note := bundleNote{}
		all, err := s.sharedDocuments(t.Context(), current, &note)
		if err != nil {
			t.Fatal(err)
		}
		return len(all), strings.Join(note.Warnings, "; ")
	}
	if _, err := s.Pause(t.Context(), api.PauseRequest{}); err != nil {
		t.Fatal(err)
	}
	few, warning := share()
	if !strings.Contains(warning, "no source gives them now (paused by a person") {
		t.Errorf("in a pause: %s", warning)
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, warning := share(); all != few+len(missing) || warning != "" {
		t.Errorf("%d documents after %d in a pause, and %d were missing: %s", all, few, len(missing), warning)
	}
}
