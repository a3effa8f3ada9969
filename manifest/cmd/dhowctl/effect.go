package main

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"dhow/agent/api"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// fewSites is how many names a message lists.
const fewSites = 5

// edit lets change edit fleet.yaml, refuses what no site could follow, saves the file, and says what was done and what it means for sites.
// With allow, pins may take sites back where the releases permit it.
func (a *app) edit(r *sign.Repository, allow bool, change func(f *sign.FleetFile) (done string, err error)) error {
	done := ""
	return a.apply(r, allow, false, func(f *sign.FleetFile) (err error) {
		done, err = change(f)
		return err
	}, func(*manifest.Fleet) string { return done })
}

// apply is edit for those who speak of the fleet as it is with the change; a dry one saves nothing.
func (a *app) apply(
	r *sign.Repository, allow, dry bool, change func(f *sign.FleetFile) error, done func(now *manifest.Fleet) string,
) error {
	before := map[string]string{} // where each site goes by what fleet.yaml says now, as far as that can be told
	if fleet, err := r.Resolve(); err == nil {
		before = targets(fleet)
	}
	if err := change(r.Fleet()); err != nil {
		return usage(err)
	}
	now, err := r.Resolve()
	if errors.Is(err, sign.ErrDowngrade) && allow {
		if now, err = allowDowngrades(r, err); err != nil {
			return err
		}
	}
	if err != nil {
		return plainly(err)
	}
	effect, err := r.Effect(now)
	if err != nil {
		return err
	}
	warnings, err := reachable(effect, before)
	if err != nil {
		return err
	}
	if !dry {
		if err := r.SaveFleet(); err != nil {
			return err
		}
	}
	a.printf("%s\nNext publish: %s\n", done(now), effectText(effect))
	for _, w := range warnings {
		a.printf("warning: %s\n", w)
	}
	return nil
}

// allowDowngrades says beside the pins that take sites back that they may.
func allowDowngrades(r *sign.Repository, err error) (*manifest.Fleet, error) {
	var list sign.Mistakes
	if !errors.As(err, &list) {
		return nil, err
	}
	for _, m := range list {
		if m.Kind != sign.ErrDowngrade {
			return nil, plainly(err)
		}
		if err := r.Fleet().AllowDowngrade(m.Section, m.Name); err != nil {
			return nil, err
		}
	}
	return r.Resolve()
}

// plainly is a mistake that a command would have made, without the place in a file that it did not write.
func plainly(err error) error {
	var list sign.Mistakes
	if !errors.As(err, &list) {
		return err
	}
	e := explain(err, true)
	return fail(e.Code, list[0].Text, e.Hint)
}

// reachable refuses a change when none of the sites whose pin it changes can follow, and warns of those that can't when others can.
func reachable(e *sign.Effect, before map[string]string) (warnings []string, err error) {
	can := 0
	var cannot []sign.Move
	for _, m := range e.Moves {
		var mine []string
		for _, site := range m.Sites {
			if was, ok := before[site]; !ok || was != e.To[site] {
				mine = append(mine, site)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if m.Cannot == "" {
			can += len(mine)
			continue
		}
		m.Sites = mine
		cannot = append(cannot, m)
	}
	for _, m := range cannot {
		text, may := staysText(m)
		if may {
			warnings = append(warnings, text)
			continue
		}
		if can == 0 {
			return nil, fail(api.CodeRefused, text, cannotHint(m))
		}
		warnings = append(warnings, text)
	}
	return warnings, nil
}

func cannotHint(m sign.Move) string {
	switch {
	case errors.Is(m.Kind, manifest.ErrFrom):
		return "pin a release in between first"
	case errors.Is(m.Kind, manifest.ErrBack):
		return "allow it for the site: dhowctl pin " + m.To + " --site " + m.Sites[0] + " --allow-downgrade"
	}
	return ""
}

// sitesText names some sites: "kin-001, kin-002 and 12 more".
func sitesText(sites []string) string {
	if len(sites) <= fewSites {
		return strings.Join(sites, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(sites[:fewSites], ", "), len(sites)-fewSites)
}

const noMoves = "no site will move"

// effectText is a sentence about all sites: "14 sites will move: 12 × 1.0.0 → 1.1.0, 2 new → 1.1.0; 1 held."
func effectText(e *sign.Effect) string {
	total := 0
	var moves, more []string
	stay := 0
	for _, m := range e.Moves {
		if m.Cannot != "" {
			stay += len(m.Sites)
			continue
		}
		total += len(m.Sites)
		moves = append(moves, moveText(m))
	}
	text := noMoves
	if total > 0 {
		text = count(total, "site") + " will move: " + strings.Join(moves, ", ")
	}
	add := func(n int, format string) {
		if n > 0 {
			more = append(more, fmt.Sprintf(format, n))
		}
	}
	add(len(e.Held), "%d held")
	add(len(e.Released), "%d no longer held")
	add(stay, "%d can't and will stay")
	add(len(e.Forbidden), "%d no longer allowed to go back to the pin")
	add(len(e.Removed), "%d removed")
	if n := len(e.Settings); n > 0 {
		more = append(more, "other settings for "+count(n, "site")+", from the next release on that each takes")
	}
	return strings.Join(append([]string{text}, more...), "; ") + "."
}

func moveText(m sign.Move) string {
	to := orNothing(m.To)
	if m.From == "" {
		return fmt.Sprintf("%d new → %s", len(m.Sites), to)
	}
	text := fmt.Sprintf("%d × %s → %s", len(m.Sites), m.From, to)
	if m.Back {
		text += " (back, keeping the data)"
	}
	return text
}

// asked is a pin as fleet.yaml has it, and what it stands for when that is another thing.
func asked(pin, asked string) string {
	switch {
	case pin == "" && asked == "":
		return "nothing"
	case asked == "":
		return pin
	case pin == "":
		return asked
	}
	return pin + " (" + asked + ")"
}

// settingsOf reads NAME=VALUE words.
func settingsOf(words []string, old map[string]string) (map[string]string, error) {
	list := map[string]string{}
	maps.Copy(list, old)
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fail(api.CodeUsage, fmt.Sprintf("%q is no setting", w), "write NAME=VALUE; NAME= takes it away")
		}
		if value == "" {
			delete(list, name)
			continue
		}
		if err := sign.CheckSetting(name, value); err != nil {
			return nil, usage(err)
		}
		list[name] = value
	}
	return list, nil
}
