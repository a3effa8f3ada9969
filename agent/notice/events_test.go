package notice

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/words"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// site is a site at a moment: "STATE RELEASE→PINNED; ID KIND FROM→TO RESULT; …; !NEED …", the updates newest first.
func read(t *testing.T, text string) (s api.Status, history []api.Update, needs []api.Need) {
	t.Helper()
	s.Site = "kin-001"
	for i, part := range strings.Split(text, ";") {
		words := strings.Fields(part)
		switch {
		case i == 0:
			s.State = words[0]
			s.Release, s.Pinned, _ = strings.Cut(words[1], "→")
		case strings.HasPrefix(words[0], "!"):
			for _, w := range words {
				needs = append(needs, api.Need{Kind: strings.TrimPrefix(w, "!")})
			}
		default:
			u := api.Update{Kind: words[1], Started: noon}
			if _, err := fmt.Sscan(words[0], &u.ID); err != nil {
				t.Fatal(err)
			}
			u.From, u.To, _ = strings.Cut(words[2], "→")
			if u.Result = strings.Join(words[3:], " "); u.Result != "runs" {
				u.Finished = noon
			} else {
				u.Result = ""
			}
			u.Receipt = api.Receipt(s.Site, u.ID, u.Result == api.ResultDone)
			history = append(history, u)
		}
	}
	return s, history, needs
}

// TestEvents: each line is the site at a moment, and what is told then.
func TestEvents(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"an update": {
			"idle 1.0.0→1.0.0; 3 apply →1.0.0 done                                   | ",
			"fetching 1.0.0→1.1.0; 3 apply →1.0.0 done                               | ",
			"ready 1.0.0→1.1.0; 3 apply →1.0.0 done                                  | ready 1.0.0→1.1.0",
			"ready 1.0.0→1.1.0; 3 apply →1.0.0 done                                  | ",
			"backup 1.0.0→1.1.0; 3 apply →1.0.0 done                                 | ",
			"ready 1.0.0→1.1.0; 3 apply →1.0.0 done                                  | ",
			"updating 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs; 3 apply →1.0.0 done     | started 1.0.0→1.1.0",
			"updating 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs; 3 apply →1.0.0 done     | ",
			"idle 1.1.0→1.1.0; 5 apply 1.0.0→1.1.0 done; 3 apply →1.0.0 done         | done 1.0.0→1.1.0 KIN-001-0005",
			"idle 1.1.0→1.1.0; 5 apply 1.0.0→1.1.0 done; 3 apply →1.0.0 done         | ",
			"ready 1.1.0→1.2.0; 5 apply 1.0.0→1.1.0 done                             | ready 1.1.0→1.2.0",
		},
		"rolled back, and tried again by a person": {
			"ready 1.0.0→1.1.0                                                       | ready 1.0.0→1.1.0",
			"updating 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs                          | started 1.0.0→1.1.0",
			"undoing 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs                           | ",
			"idle 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 rolled back                       | rolled-back 1.0.0→1.1.0 KIN-001-0005-R",
			"ready 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 rolled back                      | ready 1.0.0→1.1.0",
			"updating 1.0.0→1.1.0; 7 apply 1.0.0→1.1.0 runs; 5 apply 1.0.0→1.1.0 rolled back | started 1.0.0→1.1.0",
			"idle 1.1.0→1.1.0; 7 apply 1.0.0→1.1.0 done; 5 apply 1.0.0→1.1.0 rolled back     | done 1.0.0→1.1.0 KIN-001-0007",
		},
		"refused every half hour": {
			"ready 1.0.0→1.1.0                                                       | ready 1.0.0→1.1.0",
			"updating 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs                          | started 1.0.0→1.1.0",
			"ready 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 refused                          | needs-you 1.0.0→1.1.0 KIN-001-0005-R refused",
			"updating 1.0.0→1.1.0; 6 apply 1.0.0→1.1.0 runs; 5 apply 1.0.0→1.1.0 refused    | ",
			"ready 1.0.0→1.1.0; 6 apply 1.0.0→1.1.0 refused; 5 apply 1.0.0→1.1.0 refused    | ",
			"ready 1.0.0→1.2.0; 7 apply 1.0.0→1.2.0 refused; 6 apply 1.0.0→1.1.0 refused    | needs-you 1.0.0→1.2.0 KIN-001-0007-R refused, ready 1.0.0→1.2.0",
			"idle 1.2.0→1.2.0; 8 apply 1.0.0→1.2.0 done                              | done 1.0.0→1.2.0 KIN-001-0008",
		},
		"too quick to be seen": {
			"idle 1.0.0→1.0.0                                                        | ",
			"idle 1.2.0→1.2.0; 9 apply 1.1.0→1.2.0 done; 7 apply 1.0.0→1.1.0 done    | done 1.0.0→1.1.0 KIN-001-0007, done 1.1.0→1.2.0 KIN-001-0009",
		},
		"a person goes back": {
			"idle 1.1.0→1.1.0                                                        | ",
			"updating 1.1.0→1.1.0; 4 rollback 1.1.0→1.0.0 runs                       | started 1.1.0→1.0.0 back",
			"idle 1.0.0→1.1.0; 4 rollback 1.1.0→1.0.0 done                           | done 1.1.0→1.0.0 KIN-001-0004 back",
		},
		"a first look in the middle": {
			"updating 1.0.0→1.1.0; 5 apply 1.0.0→1.1.0 runs; 3 apply →1.0.0 done     | ",
			"idle 1.1.0→1.1.0; 5 apply 1.0.0→1.1.0 done; 3 apply →1.0.0 done         | done 1.0.0→1.1.0 KIN-001-0005",
		},
		"taken over": {
			"new →1.0.0                                                              | ",
			"idle adopted→1.0.0; 1 adopt →adopted done                               | ",
		},
		"Dhow itself": {
			"idle 1.0.0→1.0.0; 4 agent 2.0.0→2.1.0 done; 3 apply →1.0.0 done        | ",
			"idle 1.0.0→1.0.0; 6 agent 2.1.0→2.2.0 rolled back; 4 agent 2.0.0→2.1.0 done | agent-failed 2.1.0→2.2.0 KIN-001-0006-R",
			"idle 1.0.0→1.0.0; 7 agent 2.1.0→2.3.0 refused; 6 agent 2.1.0→2.2.0 rolled back | agent-failed 2.1.0→2.3.0 KIN-001-0007-R",
			"updating 1.0.0→1.1.0; 9 apply 1.0.0→1.1.0 runs; 7 agent 2.1.0→2.3.0 refused | started 1.0.0→1.1.0",
			"idle 1.1.0→1.1.0; 9 apply 1.0.0→1.1.0 done; 8 agent 2.1.0→2.4.0 done; 7 agent 2.1.0→2.3.0 refused " +
				"| agent-done 2.1.0→2.4.0 KIN-001-0008, done 1.0.0→1.1.0 KIN-001-0009",
		},
		"needs": {
			"idle 1.0.0→1.0.0; !disk                                                 | needs-you 1.0.0→ disk",
			"idle 1.0.0→1.0.0; !disk !clock                                          | needs-you 1.0.0→ clock",
			"idle 1.0.0→1.0.0; !clock !disk                                          | ",
			"idle 1.0.0→1.0.0; !clock                                                | ",
			"idle 1.0.0→1.0.0; !clock !disk !disk                                    | needs-you 1.0.0→ disk",
			"idle 1.0.0→1.0.0                                                        | ",
		},
	} {
		var told *Told
		for i, line := range lines {
			at, want, _ := strings.Cut(line, "|")
			list, now := Events(told, first(read(t, at)), second(read(t, at)), third(read(t, at)))
			var got []string
			for _, e := range list {
				text := e.Kind + " " + e.From + "→" + e.To
				for _, more := range []string{e.Receipt, e.Reason} {
					if more != "" {
						text += " " + more
					}
				}
				if e.back {
					text += " back"
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != strings.TrimSpace(want) {
				t.Errorf("%s, line %d: %s\n got %s", name, i, line, strings.Join(got, ", "))
			}
			// Looking once more tells nothing more, and what is kept stays the same.
			again, same := Events(&now, first(read(t, at)), second(read(t, at)), third(read(t, at)))
			if len(again) != 0 || !reflect.DeepEqual(same, now) {
				t.Errorf("%s, line %d: told again: %+v, %+v", name, i, again, same)
			}
			told = &now
		}
	}
}

func first(s api.Status, _ []api.Update, _ []api.Need) api.Status    { return s }
func second(_ api.Status, u []api.Update, _ []api.Need) []api.Update { return u }
func third(_ api.Status, _ []api.Update, n []api.Need) []api.Need    { return n }

// TestSteady: a need is told when it stands, and again only when it was really gone.
func TestSteady(t *testing.T) {
	t.Parallel()
	s := newSteady()
	disk := []api.Need{{Kind: "disk", Args: map[string]string{"missing": "2 GB"}}}
	for i, c := range []struct {
		at    time.Duration
		needs []api.Need
		told  []string
		want  string
	}{
		{0, disk, nil, ""},
		{30 * time.Second, disk, nil, ""},
		{40 * time.Second, nil, nil, ""},
		{50 * time.Second, disk, nil, ""},
		{100 * time.Second, disk, nil, ""},
		{110 * time.Second, disk, nil, "disk 2 GB"},
		{2 * time.Minute, nil, []string{"disk"}, "disk"},
		{3 * time.Minute, disk, []string{"disk"}, "disk 2 GB"},
		{61 * time.Minute, nil, []string{"disk"}, "disk"},
		{62 * time.Minute, nil, []string{"disk"}, "disk"},
		{63 * time.Minute, nil, []string{"disk"}, ""},
		{64 * time.Minute, disk, nil, ""},
		{65 * time.Minute, disk, nil, "disk 2 GB"},
	} {
		var got []string
		for _, n := range s.of(c.needs, c.told, c.at) {
			got = append(got, strings.TrimSpace(n.Kind+" "+n.Args["missing"]))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("line %d, %v: %v, want %s", i, c.at, got, c.want)
		}
	}
	// After a restart what was told counts as there, for an hour.
	s = newSteady()
	if got := s.of(nil, []string{"disk"}, 0); len(got) != 1 {
		t.Errorf("after a restart: %v", got)
	}
	if got := s.of(nil, []string{"disk"}, goes); len(got) != 0 {
		t.Errorf("an hour after a restart: %v", got)
	}
}

// TestDhowIsNotTheSystem: what is said of Dhow itself does not sound as if the system had been away.
func TestDhowIsNotTheSystem(t *testing.T) {
	t.Parallel()
	r := words.For("en")
	for _, c := range []struct{ kind, want string }{
		{AgentDone, "Dhow, which looks after updates, was renewed itself: version 2.1.0. Nothing else has changed. The system went on running."},
		{AgentFailed, "Version 2.1.0 of Dhow, which looks after updates, did not work on this computer. " +
			"Version 2.0.0 of Dhow goes on. The system was not touched, and no data was lost."},
	} {
		e := Event{Kind: c.kind, From: "2.0.0", To: "2.1.0", Receipt: "KIN-001-0004-R"}
		if got := e.title(r) + " " + e.body(r); got != c.want || e.urgent() {
			t.Errorf("%s: %s", c.kind, got)
		}
	}
}
