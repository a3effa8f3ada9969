package sign

import (
	"maps"
	"slices"

	"dhow/manifest"
)

// Effect is what the next signing changes for sites, against what they run by what was signed so far.
type Effect struct {
	Moves    []Move   `json:"moves"`    // by where they come from and go to
	Held     []string `json:"held"`     // sites that would move were they not held
	Released []string `json:"released"` // sites whose hold ends; those of them that move are among the moves
	Removed  []string `json:"removed"`  // sites that are told nothing any more
	Settings []string `json:"settings"` // sites that have other settings: they count from the next release that a site takes
	// Forbidden are sites that keep their pin, but whose permission to go back to it ends.
	Forbidden []string          `json:"forbidden"`
	To        map[string]string `json:"-"` // the pin of every site that the fleet has, TargetHeld where it is held
}

// TargetHeld stands in Effect.To for a site that is held.
const TargetHeld = "held"

// Move is a group of sites that go the same way. From is what they run, empty for new ones; To is empty when nothing is
// assigned any more.
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

// Effect compares a fleet, as Resolve returns it, with what was signed last, and with what sites run by it.
func (r *Repository) Effect(now *manifest.Fleet) (*Effect, error) {
	last, err := r.signed()
	if err != nil {
		return nil, err
	}
	return r.effect(last, now)
}

func (r *Repository) effect(last *signed, now *manifest.Fleet) (*Effect, error) {
	return r.compare(last.fleet, now, r.running(last))
}

// EffectOf compares two fleets, nil for none, where nothing but them is known: every site counts as one that runs its pin, and can move.
func EffectOf(last, now *manifest.Fleet) (*Effect, error) {
	runs := map[string]string{}
	if last != nil {
		for name := range last.Sites {
			is, _ := last.Assignment(name)
			runs[name] = is.Pin
		}
	}
	return (*Repository)(nil).compare(last, now, runs)
}

func (r *Repository) compare(last, now *manifest.Fleet, runs map[string]string) (*Effect, error) {
	if last == nil {
		last = &manifest.Fleet{}
	}
	e := &Effect{
		Moves: []Move{}, Held: []string{}, Released: []string{}, Removed: []string{}, Settings: []string{}, Forbidden: []string{},
		To: map[string]string{},
	}
	ways := map[way][]string{}
	for _, name := range names(now.Sites) {
		to, err := now.Assignment(name)
		if err != nil {
			return nil, err
		}
		e.To[name] = to.Pin
		if to.Hold != nil {
			e.To[name] = TargetHeld
		}
		from, _ := last.Assignment(name) // zero for a new site
		is := runs[name]
		if from.Site != "" && !maps.Equal(from.Settings, to.Settings) {
			e.Settings = append(e.Settings, name)
		}
		if to.Hold == nil && from.Hold != nil {
			e.Released = append(e.Released, name)
		}
		if from.Downgrade && !to.Downgrade && from.Pin == to.Pin {
			e.Forbidden = append(e.Forbidden, name)
		}
		switch {
		case to.Hold != nil && from.Pin != to.Pin && is != to.Pin:
			e.Held = append(e.Held, name)
		case to.Hold != nil, is == to.Pin, to.Pin == "" && from.Pin == "":
		default:
			w := way{is, to.Pin, to.Downgrade}
			ways[w] = append(ways[w], name)
		}
	}
	for _, name := range names(last.Sites) {
		if _, ok := now.Sites[name]; !ok {
			e.Removed = append(e.Removed, name)
		}
	}
	for w, sites := range ways {
		m := Move{From: w.from, To: w.to, Sites: sites, Back: w.back(), Allowed: w.downgrade}
		if err := r.reaches(w); err != nil {
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

func (w way) back() bool {
	return w.from != "" && w.to != "" && manifest.CompareVersions(w.to, w.from) < 0
}

// reaches reports whether a site that runs one release can go to another by its pin. It decides as the site does. Without r every
// site can.
func (r *Repository) reaches(w way) error {
	if r == nil || w.from == "" || w.to == "" {
		return nil
	}
	release, err := r.Release(w.to)
	if err != nil {
		return err
	}
	if !w.back() {
		return release.Allows(w.from)
	}
	if !w.downgrade {
		return manifest.NotAllowedBack(w.from, w.to)
	}
	known, err := r.Releases()
	if err != nil {
		return err
	}
	var left []*manifest.Release
	for _, v := range manifest.Between(known, w.from, w.to) {
		l, err := r.Release(v)
		if err != nil {
			return err
		}
		left = append(left, l)
	}
	return release.TakesBack(left) // its range is about the way up
}
