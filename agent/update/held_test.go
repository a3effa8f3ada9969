package update

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/agent/change"
	"dhow/agent/engine"
)

// TestFollowersHearOfTheEngine: who follows a change in a window is told that it waits for the engine, and that it goes on.
func TestFollowersHearOfTheEngine(t *testing.T) {
	m, _ := stickSite(t)
	socket := filepath.Join(t.TempDir(), "s")
	var err error
	if m.Engine, err = engine.Connect("unix://" + socket); err != nil {
		t.Fatal(err)
	}
	m.hub.init()
	c := &change.Change{ID: 7, Kind: KindFetch, Steps: []change.StepState{{Name: stepFetch, Status: change.StepDoing}}}
	if err := m.Journal.Save(c, nil); err != nil {
		t.Fatal(err)
	}
	m.running = c.ID
	m.hub.publish(c, change.Progress{Done: 1, Total: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := m.Events(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	until := func(what string, held bool) {
		t.Helper()
		for e := range events {
			if held == (e.Said != nil && e.Said.Kind == "engine_awaited") && held == (e.Total == 0) {
				return
			}
		}
		t.Fatalf("nobody hears that %s", what)
	}
	until("it is at work", false)
	go m.watchEngine(ctx, c.ID)
	until("the engine does not answer", true)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/events") {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"ApiVersion": "1.41"})
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	until("it answers again", false)
}
