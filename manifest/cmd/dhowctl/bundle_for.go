package main

import (
	"cmp"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// bundled returns the releases that a bundle holds: the one that is asked for, or those that its sites were signed for.
func bundled(r *sign.Repository, signed *sign.Documents, m meantFor) ([]string, error) {
	if m.version != "" {
		return []string{m.version}, mayTake(r, signed, m.version, m.site, m.ring)
	}
	const publish = "publish first: dhowctl publish --to oci://HOST/PATH or a folder"
	fleet := signed.Fleet
	next, who := r.Fleet().Fleet(), "any site"
	switch {
	case m.site != "":
		who = "site " + m.site
		_, there := fleet.Sites[m.site]
		if _, known := next.Sites[m.site]; !there && !known {
			return nil, fail(api.CodeUsage, "there is no "+who, "dhowctl site list shows them")
		} else if !there {
			return nil, fail(api.CodeRefused, who+" is in fleet.yaml, but not signed yet: it would not take the bundle", publish)
		}
	case m.ring != "":
		who = "ring " + m.ring
		_, there := fleet.Rings[m.ring]
		if _, known := next.Rings[m.ring]; !there && !known {
			return nil, fail(api.CodeUsage, "there is no "+who, "dhowctl ring list shows them")
		} else if !there {
			return nil, fail(api.CodeRefused, who+" is in fleet.yaml, but not signed yet: its sites would not take the bundle", publish)
		}
	}
	versions, held := wanted(fleet, m)
	switch {
	case len(versions) == 0 && held != nil && m.site != "":
		return nil, fail(api.CodeRefused, who+" is held ("+held.Reason+"): it would not take the bundle",
			"dhowctl release-hold "+m.site+", then "+publish)
	case len(versions) == 0:
		return nil, fail(api.CodeRefused, "nothing is pinned for "+who+" in the manifest that was signed last",
			"dhowctl pin VERSION, then "+publish)
	}
	return versions, nil
}

// wanted lists what the sites of m are to run, from old to new. A held site takes nothing.
func wanted(fleet *manifest.Fleet, m meantFor) (versions []string, held *manifest.Hold) {
	pins := map[string]bool{}
	if m.ring != "" { // a ring may be filled later
		pins[fleet.Rings[m.ring].Pin] = true
	}
	for name, s := range fleet.Sites {
		if m.site != "" && m.site != name || m.ring != "" && m.ring != s.Ring {
			continue
		}
		as, err := fleet.Assignment(name)
		switch {
		case err != nil:
		case as.Hold != nil:
			held = as.Hold
		default:
			pins[as.Pin] = true
		}
	}
	delete(pins, "")
	versions = sorted(pins)
	manifest.SortVersions(versions)
	return versions, held
}

// bundledAgents returns the agents that the sites of a bundle are to run: a site without a line is healed from the stick. What leads to them from
// older ones is left out, as a stick has room; so are agents whose bytes are not here, which is told.
func bundledAgents(signed *sign.Documents, m meantFor, store *bundle.Store) (list []*manifest.Agent, warning string, err error) {
	all, err := signed.Agents()
	if err != nil {
		return nil, "", err
	}
	fleet, wanted := signed.Fleet, map[string]bool{}
	switch as, err := fleet.Assignment(m.site); {
	case m.site != "" && err == nil:
		wanted[as.Agent] = true
	case m.ring != "":
		wanted[cmp.Or(fleet.Rings[m.ring].Agent, fleet.Agent)] = true
	default:
		for _, v := range fleet.AgentsOf() {
			wanted[v] = true
		}
	}
	for _, agent := range all {
		if !wanted[agent.Version] {
			continue
		}
		whole := *agent
		whole.Platforms = nil
		for _, p := range agent.Platforms {
			if p.Deltas = nil; store.Has(p.Full) {
				whole.Platforms = append(whole.Platforms, p)
			} else {
				warning = "the bytes of agent " + agent.Version + " are not in " + store.Dir() + ": sites keep the one that they have"
			}
		}
		list = append(list, &whole)
	}
	return list, warning, nil
}
