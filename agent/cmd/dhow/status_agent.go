package main

import "dhow/agent/api"

// tellAgent says what becomes of the agent's own program, when something does.
func (s *shell) tellAgent(a *api.Agent) {
	switch {
	case a == nil:
	case a.Trial:
		s.sayln("self.trial", "version", a.Version)
	case a.Ready:
		s.sayln("self.ready", "version", a.Version, "wanted", a.Wanted)
	case a.Wanted != "":
		s.sayln("self.wanted", "version", a.Version, "wanted", a.Wanted)
	}
}

// arrowOf says from where to where an update went, and of the agent's own that it is that.
func (s *shell) arrowOf(u api.Update) string {
	if u.Kind == "agent" {
		return s.say("self.change", "change", arrow(u.From, u.To))
	}
	return arrow(u.From, u.To)
}
