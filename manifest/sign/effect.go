package sign

import (
	"maps"
	"slices"

	"dhow/manifest"
)

// Effect is what the next signing changes for sites, against what was signed last.
type Effect struct {
	Moves    []Move            `json:"moves"`    // by where they come from and go to
	Held     []string          `json:"held"`     // sites that would move were they not held
	Released []string          `json:"released"` // sites whose hold ends: they move unless they run their pin already
	Removed  []string          `json:"removed"`  // sites that are told nothing any more
	Settings []string          `json:"settings"` // sites that have other settings: they count from the next release that a site takes
	To       map[string]string `json:"-"`        // the pin of every site that the fleet has
}

// Move is a group of sites that go the same way. From is empty for sites that had nothing assigned, To when nothing is any more.
type Move struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Sites []string `json:"sites"`
	// Cannot says why the sites stay where they are, "" when they move.
	Cannot string `json:"cannot"`
	Kind   error  `json:"-"` // what Cannot comes from
	Back   bool   `json:"back"`
	// Allowed says that the pin may take the sites back, as far as the releases permit it.
	Allowed bool `json:"allowed"`
}

// Effect compares a fleet, as Resolve returns it, with what was signed last.
func (r *Repository) Effect(now *manifest.Fleet) (*Effect, error) {
	last, _, err := r.Signed()
	if err != nil {
		return nil, err
	}
	if last == nil {
		last = &manifest.Fleet{}
	}
	e := &Effect{Moves: []Move{}, Held: []string{}, Released: []string{}, Removed: []string{}, Settings: []string{}, To: map[string]string{}}
	type way struct {
		from, to  string
		downgrade bool
	}
	ways := map[way][]string{}
	for _, name := range names(now.Sites) {
		to, err := now.Assignment(name)
		if err != nil {
			return nil, err
		}
		e.To[name] = to.Pin
		from, _ := last.Assignment(name) // zero for a new site
		if from.Site != "" && !maps.Equal(from.Settings, to.Settings) {
			e.Settings = append(e.Settings, name)
		}
		switch {
		case to.Hold != nil && from.Pin != to.Pin:
			e.Held = append(e.Held, name)
		case to.Hold != nil:
		case from.Hold != nil:
			e.Released = append(e.Released, name)
		case from.Pin != to.Pin:
			ways[way{from.Pin, to.Pin, to.Downgrade}] = append(ways[way{from.Pin, to.Pin, to.Downgrade}], name)
		}
	}
	for _, name := range names(last.Sites) {
		if _, ok := now.Sites[name]; !ok {
			e.Removed = append(e.Removed, name)
		}
	}
	for w, sites := range ways {
		m := Move{From: w.from, To: w.to, Sites: sites, Allowed: w.downgrade}
		m.Back = w.from != "" && w.to != "" && manifest.CompareVersions(w.to, w.from) < 0
		if err := r.reaches(w.from, w.to, m.Back, w.downgrade); err != nil {
			m.Cannot, m.Kind = err.Error(), err
		}
		e.Moves = append(e.Moves, m)
	}
	slices.SortFunc(e.Moves, func(a, b Move) int {
		if c := manifest.CompareVersions(b.From, a.From); c != 0 {
			return c
		}
		if c := manifest.CompareVersions(a.To, b.To); c != 0 {
			return c
		}
		return slices.Compare(a.Sites, b.Sites)
	})
	return e, nil
}

// reaches reports whether a site that was signed for one release can go to another by its pin. It decides as the site does.
func (r *Repository) reaches(from, to string, back, downgrade bool) error {
	if from == "" || to == "" {
		return nil
	}
	release, err := r.Release(to)
	if err != nil {
		return err
	}
	if back && !downgrade {
		return manifest.NotAllowedBack(from, to)
	}
	if back {
		known, err := r.Releases()
		if err != nil {
			return err
		}
		var left []*manifest.Release
		for _, v := range manifest.Between(known, from, to) {
			l, err := r.Release(v)
			if err != nil {
				return err
			}
			left = append(left, l)
		}
		return release.TakesBack(left) // its range is about the way up
	}
	return release.Allows(from)
}
