package update

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"dhow/agent/site"
	"dhow/bundle"
	"dhow/manifest"
)

// layered fills what the configuration of this site does not say with the fleet's policy: the site's word counts.
func layered(c site.Config, p manifest.Policy) *site.Config {
	c.Window, c.TimeZone = cmp.Or(c.Window, p.Window), cmp.Or(c.TimeZone, p.TimeZone)
	c.Quiet = cmp.Or(c.Quiet, p.Quiet)
	c.Budget.Day, c.Budget.Month = cmp.Or(c.Budget.Day, p.Budget.Day), cmp.Or(c.Budget.Month, p.Budget.Month)
	c.Rate, c.Contact = cmp.Or(c.Rate, p.Rate), cmp.Or(c.Contact, p.Contact)
	if c.Language == "" && len(p.Languages) > 0 {
		c.Language = p.Languages[0]
	}
	b := &c.Backup
	b.At, b.Drill = cmp.Or(b.At, p.Backup.At), cmp.Or(b.Drill, p.Backup.Drill)
	b.Keep, b.Days, b.Space = cmp.Or(b.Keep, p.Backup.Keep), cmp.Or(b.Days, p.Backup.Days), cmp.Or(b.Space, p.Backup.Space)
	return &c
}

// policy is what the fleet says for all sites; it is empty before the first manifest.
func (m *Manager) policy() manifest.Policy {
	current, err := m.Trust.Current()
	if err != nil {
		return manifest.Policy{}
	}
	return current.Fleet.Policy
}

// settings are the values of this site's settings: those of the fleet, with those of site.env laid over them.
func (m *Manager) settings() (map[string]string, error) {
	mine, err := site.ReadSettings(m.Paths.Settings())
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	if current, err := m.Trust.Current(); err == nil {
		if as, err := current.Fleet.Assignment(m.Config.Site); err == nil {
			maps.Copy(all, as.Settings)
		}
	}
	maps.Copy(all, mine)
	return all, nil
}

// mayGoBack refuses a pin on an older release than the one that runs, unless it says that it may and every release that is left says that the
// older one can run on its data. Nothing is taken back by a pin.
func (m *Manager) mayGoBack(ctx context.Context, sources []bundle.Source, as manifest.Assignment, to *manifest.Release, good *Good) error {
	if good == nil || good.Dir != "" || manifest.CompareVersions(to.Version, good.Release) >= 0 {
		return nil
	}
	refused := func(err error) error {
		return refuse("the central team decides, or a person here who is told what would be lost: dhow rollback --to "+to.Version,
			"%s stays: %w", good.Release, err).In("pin_back", "release", good.Release, "to", to.Version, "cause", err.Error())
	}
	if !as.Downgrade {
		return refused(manifest.NotAllowedBack(good.Release, to.Version))
	}
	now, err := m.releaseOf(*good)
	if err != nil {
		return err
	}
	current, err := m.Trust.Current()
	if err != nil {
		return untrusted(err)
	}
	left := []*manifest.Release{now}
	for _, v := range manifest.Between(current.Releases, good.Release, to.Version) {
		if v == good.Release {
			continue
		}
		r, _, err := m.releaseFrom(ctx, sources, v)
		if err != nil {
			return m.explainMissing(ctx, sources, manifest.Assignment{Site: as.Site, Pin: v}, err)
		}
		left = append(left, r)
	}
	if err := to.TakesBack(left); errors.Is(err, manifest.ErrBack) {
		return refused(err)
	}
	return nil
}

// noteOf is what a release says of itself, in the language of this site, else in the best that it has.
func (m *Manager) noteOf(version string) string {
	release, _, err := m.Trust.CachedRelease(version)
	if err != nil {
		return ""
	}
	return pickNote(release.Notes, append([]string{m.config().Language}, m.policy().Languages...))
}

// pickNote picks the note in the first of languages that there is one in; a note in another form of the language (pt for pt-BR) will do.
func pickNote(notes map[string]string, languages []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	base := func(s string) string {
		s, _, _ = strings.Cut(plain(s), "-")
		return s
	}
	codes := slices.Sorted(maps.Keys(notes))
	for _, want := range append(languages, "en") {
		for _, form := range []func(string) string{plain, base} {
			for _, code := range codes {
				if want != "" && form(code) == form(want) {
					return notes[code]
				}
			}
		}
	}
	if len(codes) > 0 {
		return notes[codes[0]]
	}
	return ""
}
