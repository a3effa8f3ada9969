package update

import (
	"encoding/json"
	"testing"
	"time"

	"dhow/agent/change"
)

// stepsTook is a change of three steps that took so many seconds; -1 is a step that is at work, -2 one that has not begun.
func stepsTook(seconds ...int) *change.Change {
	c, at := &change.Change{Kind: KindApply}, time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	for i, s := range seconds {
		step := change.StepState{Name: []string{"check-site", "back-up", "open-doors"}[i], Started: at, Status: change.StepDone}
		switch s {
		case -1:
			step.Status = change.StepDoing
		case -2:
			step.Status, step.Started = change.StepPending, time.Time{}
		default:
			at = at.Add(time.Duration(s) * time.Second)
			step.Finished = at
		}
		c.Steps = append(c.Steps, step)
	}
	return c
}

func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name string
		past []*change.Change
		want pace
	}{
		{"nothing", nil, pace{}},
		{"one", []*change.Change{stepsTook(1, 60, 2)}, pace{"check-site": time.Second, "back-up": time.Minute, "open-doors": 2 * time.Second}},
		{
			"an outlier, and a clock that was set in the middle of a step",
			[]*change.Change{stepsTook(1, 60, 2), stepsTook(1, 900, 2), stepsTook(1, 62, 100*86400), stepsTook(1, -3600, 4)},
			pace{"check-site": time.Second, "back-up": 62 * time.Second, "open-doors": 2 * time.Second},
		},
		{
			"only the newest count",
			[]*change.Change{
				stepsTook(1, 10, 1), stepsTook(1, 10, 1), stepsTook(1, 10, 1), stepsTook(1, 10, 1), stepsTook(1, 10, 1),
				stepsTook(9, 99, 9), stepsTook(9, 99, 9), stepsTook(9, 99, 9), stepsTook(9, 99, 9), stepsTook(9, 99, 9), stepsTook(9, 99, 9),
			},
			pace{"check-site": time.Second, "back-up": 10 * time.Second, "open-doors": time.Second},
		},
	} {
		got := paceOf(tt.past)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		for name, want := range tt.want {
			if got[name] != want {
				t.Errorf("%s: %s: got %v, want %v", tt.name, name, got[name], want)
			}
		}
	}
}

func TestLeft(t *testing.T) {
	known := pace{"check-site": 2 * time.Second, "back-up": time.Minute, "open-doors": 10 * time.Second}
	back := stepsTook(1, -1, -2)
	back.Cause = &change.Cause{Message: "x"}
	for _, tt := range []struct {
		name string
		c    *change.Change
		pace pace
		at   atWork
		want time.Duration
	}{
		{"the first update of a site", stepsTook(-1, -2, -2), nil, atWork{}, 0},
		{"at the beginning", stepsTook(-1, -2, -2), known, atWork{}, 72 * time.Second},
		{"a step without bytes", stepsTook(1, -1, -2), known, atWork{elapsed: 20 * time.Second}, 50 * time.Second},
		{"a step that takes longer than ever", stepsTook(1, -1, -2), known, atWork{elapsed: time.Hour}, 10 * time.Second},
		{"bytes that move, by their own speed", stepsTook(1, -1, -2), known, atWork{30 * time.Second, 100, 400}, 100 * time.Second},
		{"bytes that have just begun, by the past", stepsTook(1, -1, -2), known, atWork{time.Second, 100, 400}, 55 * time.Second},
		{"more bytes than were told", stepsTook(1, -1, -2), known, atWork{30 * time.Second, 500, 400}, 40 * time.Second},
		{"the last step", stepsTook(1, 60, -1), known, atWork{elapsed: 4 * time.Second}, 6 * time.Second},
		{"going back", back, known, atWork{}, 0},
		{"at the end", stepsTook(1, 60, 10), known, atWork{}, 0},
	} {
		if got := left(tt.c, tt.pace, tt.at); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestUsualDowntime(t *testing.T) {
	away := func(d time.Duration) *change.Change {
		note, err := json.Marshal(openNote{Opened: time.Unix(1, 0), Away: d})
		if err != nil {
			t.Fatal(err)
		}
		return &change.Change{Kind: KindApply, Steps: []change.StepState{{Name: stepOpenDoors, Status: change.StepDone, Note: note}}}
	}
	for _, tt := range []struct {
		past []*change.Change
		want time.Duration
	}{
		{nil, 0},
		{[]*change.Change{away(0)}, 0},
		{[]*change.Change{away(2 * time.Minute), away(0), away(4 * time.Minute)}, 3 * time.Minute},
		{[]*change.Change{away(2 * time.Minute), away(time.Hour), away(3 * time.Minute)}, 3 * time.Minute},
	} {
		if got := usualDowntime(tt.past); got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}
