package notice

import (
	"slices"
	"time"

	"dhow/agent/api"
)

// Kinds of Event.
const (
	Ready      = "ready"
	Started    = "started"
	Done       = "done"
	RolledBack = "rolled-back"
	NeedsYou   = "needs-you"
	// Of Dhow itself: another version of it runs now, or did not work here.
	AgentDone   = "agent-done"
	AgentFailed = "agent-failed"
)

// Refused is the reason of a NeedsYou that is no Need: a check has stopped the update before any downtime.
const Refused = "refused"

// Event is something that people are told. Text is the sentence in the site's language.
type Event struct {
	Kind            string            `json:"event"`
	Site            string            `json:"site"`
	From            string            `json:"from,omitempty"`
	To              string            `json:"to,omitempty"`
	Receipt         string            `json:"receipt,omitempty"`
	DowntimeSeconds float64           `json:"downtime_seconds,omitempty"`
	Reason          string            `json:"reason_kind,omitempty"`
	Args            map[string]string `json:"args,omitempty"` // of the need
	When            time.Time         `json:"when"`
	Text            string            `json:"text"`

	language string // of the people here
	back     bool   // it goes back to an older release because a person ordered that
}

// Told is what people have been told. It is kept as JSON.
type Told struct {
	Ready   string   `json:"ready,omitempty"`   // the release
	Refused string   `json:"refused,omitempty"` // the release
	Started uint64   `json:"started,omitempty"` // the newest update
	Ended   uint64   `json:"ended,omitempty"`   // the newest update
	Needs   []string `json:"needs,omitempty"`   // kinds, sorted
	Agent   string   `json:"agent,omitempty"`   // the receipt of the newest change of Dhow itself
}

// Events returns what is to be told when the site is as s and history (newest first) say, needs are what needs a person, and told is what was told before, nil
// for nothing ever: what lies in the past then is told to nobody. The second result takes the place of told.
func Events(told *Told, s api.Status, history []api.Update, needs []api.Need) ([]Event, Told) {
	var list []Event
	var now Told
	if told != nil {
		now = *told
	}
	if i := slices.IndexFunc(history, func(u api.Update) bool { return u.Kind == "agent" }); i >= 0 && history[i].Receipt != now.Agent {
		if now.Agent = history[i].Receipt; told != nil {
			list = append(list, agent(s.Site, history[i]))
		}
	}
	for _, u := range slices.Backward(history) {
		if u.Kind == "adopt" || u.Kind == "agent" {
			continue // nothing has changed for anybody, or it is told above
		}
		if told == nil {
			now.Started = max(now.Started, u.ID)
			if !u.Finished.IsZero() {
				now.Ended = max(now.Ended, u.ID)
			}
			continue
		}
		list = append(list, now.update(s.Site, u)...)
	}
	switch {
	case s.State == api.StateReady && s.Pinned != s.Release && s.Pinned != now.Ready:
		now.Ready = s.Pinned
		list = append(list, Event{Kind: Ready, Site: s.Site, From: s.Release, To: s.Pinned})
	case s.Pinned == s.Release:
		now.Ready = ""
	}
	kinds := []string{}
	for _, n := range needs {
		if slices.Contains(kinds, n.Kind) {
			continue
		}
		kinds = append(kinds, n.Kind)
		if told == nil || !slices.Contains(told.Needs, n.Kind) {
			list = append(list, Event{Kind: NeedsYou, Site: s.Site, Reason: n.Kind, Args: n.Args, From: s.Release})
		}
	}
	slices.Sort(kinds)
	if now.Needs = nil; len(kinds) > 0 {
		now.Needs = kinds
	}
	return list, now
}

// agent tells how a change of Dhow itself has ended, which is never under way in the history.
func agent(site string, u api.Update) Event {
	e := Event{Kind: AgentFailed, Site: site, From: u.From, To: u.To, Receipt: u.Receipt}
	if u.Result == api.ResultDone {
		e.Kind = AgentDone
	}
	return e
}

// update tells what is new about one update.
func (t *Told) update(site string, u api.Update) []Event {
	e := Event{Site: site, From: u.From, To: u.To, Receipt: u.Receipt, back: u.Kind == "rollback"}
	if u.Finished.IsZero() {
		if u.ID <= t.Started {
			return nil
		}
		t.Started = u.ID
		if u.To == t.Refused { // it is tried again and again: told when it comes through
			return nil
		}
		e.Kind, e.Receipt = Started, ""
		return []Event{e}
	}
	if u.ID <= t.Ended {
		return nil
	}
	t.Started, t.Ended = max(t.Started, u.ID), u.ID
	switch u.Result {
	case api.ResultDone:
		e.Kind = Done
	case api.ResultRolledBack:
		e.Kind = RolledBack
	default:
		if u.To == t.Refused {
			return nil
		}
		t.Refused = u.To
		e.Kind, e.Reason = NeedsYou, Refused
		return []Event{e}
	}
	t.Refused, t.Ready = "", ""
	e.DowntimeSeconds = u.DowntimeSeconds
	return []Event{e}
}
