package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"dhow/manifest"
)

// Resolve returns what fleet.yaml says with an exact version for every pin, as it would be signed now:
//
//   - a line (1.2.x) is the newest release of the repository that belongs to it; pre-releases belong to none;
//   - "previous" is the release that the ring (or the site) was last signed for before its present one, and stays that one as long as
//     fleet.yaml says so.
//
// What can't be signed are Mistakes: pins without a release, and pins that take sites back without "downgrade: true".
func (r *Repository) Resolve() (*manifest.Fleet, error) {
	last, err := r.signed()
	if err != nil {
		return nil, err
	}
	return r.resolve(last)
}

// Signed returns the fleet as it was signed last, nil before the first signing, and the releases that were signed with it.
func (r *Repository) Signed() (*manifest.Fleet, []string, error) {
	last, err := r.signed()
	if err != nil || last.targets == nil {
		return nil, nil, err
	}
	var releases []string
	for name := range last.targets.Signed.Targets {
		if version, ok := manifest.ReleaseOfPath(name); ok {
			releases = append(releases, version)
		}
	}
	manifest.SortVersions(releases)
	return last.fleet, releases, nil
}

func (r *Repository) resolve(last *signed) (*manifest.Fleet, error) {
	known, err := r.Releases()
	if err != nil {
		return nil, err
	}
	v := &resolver{r: r, last: last, known: known, previous: map[string]string{}}
	now := r.fleet.fleet
	now.Rings, now.Sites = maps.Clone(now.Rings), maps.Clone(now.Sites)
	if err := v.findPrevious(&now); err != nil {
		return nil, err
	}
	for _, name := range names(now.Rings) {
		ring := now.Rings[name]
		ring.Pin = v.settle("rings", name, ring.Pin, ring.Asked)
		now.Rings[name] = ring
	}
	for _, name := range names(now.Sites) {
		site := now.Sites[name]
		site.Pin = v.settle("sites", name, site.Pin, site.Asked)
		now.Sites[name] = site
	}
	if err := v.checkAgents(&now); err != nil {
		return nil, err
	}
	if err := v.checkPasswords(&now); err != nil {
		return nil, err
	}
	if len(v.mistakes) == 0 && last.fleet != nil {
		v.runs = r.running(last)
		v.checkDowngrades(&now)
	}
	if len(v.mistakes) > 0 {
		return nil, v.mistakes
	}
	return &now, nil
}

// resolver finds the versions that pins stand for.
type resolver struct {
	r        *Repository
	last     *signed
	known    []string
	runs     map[string]string // what each site runs
	previous map[string]string // by section and name
	mistakes Mistakes
}

// words are how the sections of fleet.yaml are called in messages.
var words = map[string]string{"rings": "ring", "sites": "site"}

func (v *resolver) settle(section, name, pin, asked string) string {
	refuse := func(kind error, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		v.mistakes = append(v.mistakes, v.r.fleet.place(section, name, "pin").says(kind, "%s %s%s", words[section], name, text))
	}
	switch {
	case asked == manifest.AskedPrevious:
		if pin = v.previous[section+"/"+name]; pin == "" {
			refuse(ErrNoPast, ": %v: it was not signed for two releases yet, so name the version", ErrNoPast)
			return ""
		}
	case asked != "":
		if pin = manifest.Newest(asked, v.known); pin == "" {
			refuse(ErrUnknownRelease, " is pinned to the line %s: %v (there is %s)", asked, ErrUnknownRelease, list(v.known))
			return ""
		}
	}
	if pin != "" && !slices.Contains(v.known, pin) {
		refuse(ErrUnknownRelease, " is pinned to %s: %v (there is %s)", pin, ErrUnknownRelease, list(v.known))
	}
	return pin
}

// findPrevious fills in v.previous: from what is signed where that says "previous" already, else from the manifests before it.
func (v *resolver) findPrevious(now *manifest.Fleet) error {
	open := map[string]string{} // what was signed last
	for name, ring := range now.Rings {
		if ring.Asked != manifest.AskedPrevious || v.last.fleet == nil {
			continue
		}
		if was := v.last.fleet.Rings[name]; was.Asked == manifest.AskedPrevious {
			v.previous["rings/"+name] = was.Pin
		} else if was.Pin != "" {
			open["rings/"+name] = was.Pin
		}
	}
	for name, site := range now.Sites {
		if site.Asked != manifest.AskedPrevious || v.last.fleet == nil {
			continue
		}
		if was := v.last.fleet.Sites[name]; was.Asked == manifest.AskedPrevious {
			v.previous["sites/"+name] = was.Pin
		} else if as, err := v.last.fleet.Assignment(name); err == nil && as.Pin != "" {
			open["sites/"+name] = as.Pin
		}
	}
	if len(open) == 0 {
		return nil
	}
	for number := v.last.targets.Signed.Version - 1; number >= 1 && len(open) > 0; number-- {
		before, err := v.r.fleetAt(number)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a manifest that somebody has cleared away
		}
		if err != nil {
			return err
		}
		for key, is := range open {
			section, name := key[:5], key[6:]
			was := before.Rings[name].Pin
			if section == "sites" {
				as, err := before.Assignment(name)
				if err != nil {
					continue
				}
				was = as.Pin
			}
			if was != "" && was != is {
				v.previous[key] = was
				delete(open, key)
			}
		}
	}
	return nil
}

// checkDowngrades refuses pins that take sites back from what they run, unless fleet.yaml says that they may. A held site would go back on the
// day when its hold ends.
func (v *resolver) checkDowngrades(now *manifest.Fleet) {
	type back struct{ from, to string }
	rings := map[string]int{}
	first := map[string]back{}
	for _, name := range names(now.Sites) {
		to, err := now.Assignment(name)
		if err != nil || to.Downgrade {
			continue
		}
		from, err := v.last.fleet.Assignment(name)
		runs := v.runs[name]
		if err != nil || !(way{from: runs, to: to.Pin}).back() {
			continue
		}
		ring := now.Sites[name].Ring
		switch {
		case now.Sites[name].Pin != "":
			v.mistakes = append(v.mistakes, v.r.fleet.place("sites", name, "pin").says(ErrDowngrade,
				"site %s %v: from %s to %s", name, ErrDowngrade, runs, to.Pin))
		case from.Ring == ring && v.last.fleet.Rings[ring].Pin != to.Pin:
			if rings[ring]++; rings[ring] == 1 {
				first[ring] = back{runs, to.Pin}
			}
		}
	}
	for _, ring := range names(rings) {
		v.mistakes = append(v.mistakes, v.r.fleet.place("rings", ring, "pin").says(ErrDowngrade,
			"ring %s %v: %s from %s to %s",
			ring, ErrDowngrade, plural(rings[ring], "site"), first[ring].from, first[ring].to))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// fleetAt returns the fleet of an earlier manifest. It is fs.ErrNotExist when the documents are not here any more.
func (r *Repository) fleetAt(number int64) (*manifest.Fleet, error) {
	list, err := r.targetsAt(number)
	if err != nil {
		return nil, err
	}
	s := &signed{files: map[string][]byte{}}
	fleet, err := s.readFleet(r, list)
	if err != nil {
		return nil, fmt.Errorf("cannot read the fleet of manifest %d: %w", number, err)
	}
	return fleet, nil
}
