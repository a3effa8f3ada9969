package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dhow/bundle"
	"dhow/manifest"
)

// longHold is the age from which a hold is doubtful.
const longHold = 90 * 24 * time.Hour

// rings speaks of rings that do nothing.
func (l *linter) rings() {
	sites, own := map[string]int{}, map[string]int{}
	for _, s := range l.fleet.Sites {
		sites[s.Ring]++
		if s.Pin != "" || s.Asked != "" {
			own[s.Ring]++
		}
	}
	for _, name := range sorted(l.fleet.Rings) {
		ring := l.fleet.Rings[name]
		switch {
		case sites[name] == 0:
			l.add(levelWarning, l.at("rings", name), "ring %s has no sites", name)
		case ring.Pin == "" && ring.Asked == "" && sites[name] > own[name]:
			l.add(levelWarning, l.at("rings", name), "ring %s has no pin, so %s will be told nothing", name, count(sites[name]-own[name], "site"))
		}
	}
}

// agents speaks of versions of the agent: those that nobody runs, and those whose bytes are not here.
func (l *linter) agents(store *bundle.Store) {
	versions, err := l.r.Agents()
	if err != nil {
		l.add(levelError, "", "%v", err)
		return
	}
	pinned := l.fleet.AgentsOf()
	var idle []string
	for _, v := range versions {
		agent, err := l.r.Agent(v)
		switch {
		case err != nil:
			l.add(levelError, "", "%v", err)
		case !slices.Contains(pinned, v):
			idle = append(idle, v)
		case slices.ContainsFunc(agent.Platforms, func(p manifest.AgentProgram) bool { return !store.Has(p.Full) }):
			l.add(levelWarning, "", "the bytes of agent %s are not in %s: it can be published only where they are already", v, store.Dir())
		}
	}
	if len(idle) > 0 {
		l.add(levelNote, "", "nobody is pinned to agent %s", strings.Join(idle, ", "))
	}
}

// sites speaks of holds.
func (l *linter) sites() {
	now := l.a.now()
	for _, name := range sorted(l.fleet.Sites) {
		h := l.fleet.Sites[name].Hold
		if h == nil {
			continue
		}
		place := l.at("sites", name, "hold")
		if h.Reason == "" {
			l.add(levelWarning, place, "site %s is held without a reason", name)
		}
		switch age := now.Sub(h.Since); {
		case h.Since.IsZero():
			l.add(levelWarning, place, "site %s is held without a date", name)
		case age > longHold:
			l.add(levelWarning, place, "site %s is held since %s, for more than 90 days: %s", name, h.Since.Format(time.DateOnly), h.Reason)
		case age < -24*time.Hour:
			l.add(levelWarning, place, "site %s is held since %s, which is to come", name, h.Since.Format(time.DateOnly))
		}
	}
}

// settings speaks of settings that no release of a ring or site knows, and of those that a release needs and that only the site can give.
func (l *linter) settings() {
	versions := map[string]map[string]bool{} // by ring: what its sites are pinned to
	needs := map[string][]string{}           // by release and setting: sites
	for _, name := range sorted(l.fleet.Sites) {
		as, err := l.fleet.Assignment(name)
		if err != nil || as.Pin == "" {
			continue
		}
		if versions[as.Ring] == nil {
			versions[as.Ring] = map[string]bool{}
		}
		versions[as.Ring][as.Pin] = true
		if r := l.releases[as.Pin]; r != nil {
			for _, s := range r.Settings {
				if _, set := as.Settings[s.Name]; s.Required && s.Default == "" && !set {
					needs[as.Pin+" needs "+s.Name] = append(needs[as.Pin+" needs "+s.Name], name)
				}
			}
		}
		for _, key := range sorted(l.fleet.Sites[name].Settings) {
			l.setting("site", name, key, []string{as.Pin})
		}
	}
	for _, name := range sorted(l.fleet.Rings) {
		ring := l.fleet.Rings[name]
		all := versions[name]
		if ring.Pin != "" {
			if all == nil {
				all = map[string]bool{}
			}
			all[ring.Pin] = true
		}
		for _, key := range sorted(ring.Settings) {
			l.setting("ring", name, key, sorted(all))
		}
	}
	for _, what := range sorted(needs) {
		l.add(levelNote, "", "release %s, which %s must have in site.env: %s", what, count(len(needs[what]), "site"), sitesText(needs[what]))
	}
}

// setting warns of one that none of the releases asks for.
func (l *linter) setting(kind, name, key string, versions []string) {
	var known []*manifest.Release
	for _, v := range versions {
		if r := l.releases[v]; r != nil {
			known = append(known, r)
		}
	}
	if len(known) == 0 {
		return
	}
	if slices.ContainsFunc(known, func(r *manifest.Release) bool {
		return slices.ContainsFunc(r.Settings, func(s manifest.Setting) bool { return s.Name == key })
	}) {
		return
	}
	why := fmt.Sprintf("it is no setting of %s", strings.Join(versions, ", "))
	if _, fixed := known[len(known)-1].Variables[key]; fixed {
		why = "the release fixes it"
	}
	l.add(levelWarning, l.at(kind+"s", name, "settings", key), "%s %s sets %s, but %s", kind, name, key, why)
}
