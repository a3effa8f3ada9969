package notice

import (
	"slices"

	"dhow/agent/words"
)

func same(a, b Told) bool {
	return a.Ready == b.Ready && a.Refused == b.Refused && a.Started == b.Started && a.Ended == b.Ended && a.Agent == b.Agent && slices.Equal(a.Needs, b.Needs)
}

// title is what has happened.
func (e Event) title(r *words.Reader) string {
	args := []any{"from", e.From, "to", e.To}
	switch {
	case e.Kind == AgentDone:
		return r.Say("notice.agent.done", args...)
	case e.Kind == AgentFailed:
		return r.Say("notice.agent.failed", args...)
	case e.Kind == Ready:
		return r.Say("notice.ready", args...)
	case e.Kind == Started && e.back:
		return r.Say("notice.goes_back", args...)
	case e.Kind == Started:
		return r.Say("notice.started", args...)
	case e.Kind == Done:
		return r.Say("notice.done", args...)
	case e.Kind == RolledBack && e.From == "":
		return r.Say("notice.failed", args...)
	case e.Kind == RolledBack:
		return r.Say("notice.rolled_back", args...)
	case e.Reason == Refused:
		return r.Say("notice.refused", args...)
	}
	return r.Say("notice.needs")
}

// body is what to know or do about it.
func (e Event) body(r *words.Reader) string {
	switch {
	case e.Kind == AgentDone:
		return r.Say("notice.agent.nothing")
	case e.Kind == AgentFailed:
		return r.Say("notice.agent.goes_on", "from", e.From)
	case e.Kind == Ready:
		return r.Say("notice.see")
	case e.Kind == Started:
		return r.Say("notice.away")
	case e.Kind == Done:
		return r.Say("notice.receipt", "receipt", e.Receipt)
	case e.Kind == RolledBack || e.Reason == Refused:
		return r.Say("notice.code", "receipt", e.Receipt)
	case r.Has("need." + e.Reason):
		return r.Map("need."+e.Reason, e.Args)
	}
	return r.Say("notice.look")
}

// urgent says whether somebody should not overlook it.
func (e Event) urgent() bool { return e.Kind == RolledBack || e.Kind == NeedsYou }
