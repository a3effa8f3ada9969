package update

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
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
	var asked atomic.Int64
	c.makeSick(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/targets/sites/") { // looks for news go on in a pause
			asked.Add(1)
		}
		return false
	})
	few, warning := share()
	if !strings.Contains(warning, "no source gives them now (paused by a person") || asked.Load() != 0 {
		t.Errorf("in a pause %d parts were asked for: %s", asked.Load(), warning)
	}
	if _, err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, warning := share(); all != few+len(missing) || warning != "" {
		t.Errorf("%d documents after %d in a pause, and %d were missing: %s", all, few, len(missing), warning)
	}
	if asked.Load() == 0 {
		t.Error("no part was asked for after the pause")
	}
}
