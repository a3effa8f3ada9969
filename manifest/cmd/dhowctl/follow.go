package main

import (
	"fmt"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// targets says for every site of a fleet what Effect.To would.
func targets(fleet *manifest.Fleet) map[string]string {
	to := map[string]string{}
	if fleet == nil {
		return to
	}
	for name := range fleet.Sites {
		as, _ := fleet.Assignment(name)
		to[name] = as.Pin
		if as.Hold != nil {
			to[name] = sign.TargetHeld
		}
	}
	return to
}

// follows looks at what is to be signed: a new pin that none of its sites can follow is refused, and those that can't where others can are
// named in warnings.
func follows(r *sign.Repository, now *manifest.Fleet) (warnings []string, err error) {
	effect, err := r.Effect(now)
	if err != nil {
		return nil, err
	}
	last, _, err := r.Signed()
	if err != nil {
		return nil, err
	}
	before := targets(last)
	stays := map[string]bool{}
	for _, m := range effect.Moves {
		for _, site := range m.Sites {
			stays[site] = m.Cannot != ""
		}
	}
	whose := func(site string) string { // pin it is
		if s := now.Sites[site]; s.Pin == "" {
			return "ring " + s.Ring
		}
		return "site " + site
	}
	can, fresh := map[string]bool{}, map[string]bool{}
	for site, to := range effect.To {
		if to == sign.TargetHeld {
			continue
		}
		if !stays[site] {
			can[whose(site)] = true
		}
		if was, ok := before[site]; !ok || was != to {
			fresh[whose(site)] = true
		}
	}
	for _, m := range effect.Moves {
		if m.Cannot == "" {
			continue
		}
		text, may := staysText(m)
		for _, site := range m.Sites {
			if pin := whose(site); !may && !can[pin] && fresh[pin] {
				return nil, fail(api.CodeRefused, fmt.Sprintf("%s is pinned to %s, but %s", pin, m.To, text), cannotHint(m))
			}
		}
		warnings = append(warnings, text)
	}
	return warnings, nil
}

// staysText says that sites can't follow, and whether some of them may be where they are to go all the same.
func staysText(m sign.Move) (text string, may bool) {
	if m.Back && m.Allowed { // a release that failed may never have come to stay there
		return fmt.Sprintf("where %s runs, it stays (%s): %s; %s. Sites that went back to %s by themselves have nothing to do",
			m.From, sitesText(m.Sites), m.Cannot, "a person there goes back with: dhow rollback --to "+m.To, m.To), true
	}
	return fmt.Sprintf("%s would stay on %s: %s", sitesText(m.Sites), m.From, m.Cannot), false
}
