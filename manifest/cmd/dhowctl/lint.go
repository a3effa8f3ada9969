package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// Levels of a finding.
const (
	levelError   = "error"   // it can't be signed or published
	levelWarning = "warning" // it is doubtful
	levelNote    = "note"    // good to know
)

// oftenFetch is the time between two fetches below which it is doubtful.
const oftenFetch = 5 * time.Minute

// finding is one thing that lint has to say. Place is "fleet.yaml:3:5", or empty.
type finding struct {
	Level string `json:"level"`
	Place string `json:"place"`
	Text  string `json:"text"`
}

func (a *app) lint() *cobra.Command {
	var asJSON bool
	c := a.command("lint", "Look for everything in the fleet that is wrong or doubtful", cobra.NoArgs, func(context.Context, []string) error {
		l := &linter{a: a, findings: []finding{}}
		r, err := sign.Open(a.fleet)
		var mistakes sign.Mistakes
		switch {
		case errors.As(err, &mistakes):
			l.mistakes(mistakes)
		case err != nil:
			_, err = a.repository() // says it with a hint
			return err
		default:
			if err := l.run(r); err != nil {
				return err
			}
		}
		counts := map[string]int{}
		for _, f := range l.findings {
			counts[f.Level]++
		}
		if asJSON {
			if err := a.printJSON(l.findings); err != nil {
				return err
			}
		} else {
			l.tell(counts)
		}
		if n := counts[levelError]; n > 0 {
			return fail(api.CodeUsage, "fleet.yaml can't be published: "+count(n, "error"), "")
		}
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// linter collects findings.
type linter struct {
	a        *app
	r        *sign.Repository
	fleet    *manifest.Fleet // with exact pins, as far as they can be found
	releases map[string]*manifest.Release
	versions []string
	findings []finding
}

func (l *linter) add(level, place, format string, args ...any) {
	l.findings = append(l.findings, finding{level, place, fmt.Sprintf(format, args...)})
}

func (l *linter) mistakes(list sign.Mistakes) {
	for _, m := range list {
		place, _ := strings.CutSuffix(m.String(), ": "+m.Text)
		l.add(levelError, place, "%s", m.Text)
	}
}

// at is the place of a ring, a site, or one of its keys.
func (l *linter) at(path ...string) string { return l.r.Fleet().Place(path...) }

func (l *linter) tell(counts map[string]int) {
	for _, f := range l.findings {
		place := f.Place
		if place != "" {
			place += ": "
		}
		l.a.printf("%-9s %s%s\n", f.Level, place, f.Text)
	}
	if len(l.findings) == 0 {
		l.a.printf("Nothing to say: %s, %s, %s.\n", count(len(l.fleet.Rings), "ring"), count(len(l.fleet.Sites), "site"), count(len(l.versions), "release"))
		return
	}
	l.a.printf("%s, %s, %s.\n", orNone(counts[levelError], "error"), orNone(counts[levelWarning], "warning"), orNone(counts[levelNote], "note"))
}

// run looks at a fleet.yaml that can be read.
func (l *linter) run(r *sign.Repository) (err error) {
	l.r = r
	if l.versions, err = r.Releases(); err != nil {
		return err
	}
	l.releases = map[string]*manifest.Release{}
	for _, v := range l.versions {
		if l.releases[v], err = r.Release(v); err != nil {
			l.add(levelError, "", "%v", err)
			delete(l.releases, v)
		}
	}
	l.fleet, err = r.Resolve()
	var mistakes sign.Mistakes
	switch {
	case errors.As(err, &mistakes):
		l.mistakes(mistakes)
		l.fleet = r.Fleet().Fleet()
	case err != nil:
		return err
	default:
		if err := l.moves(); err != nil {
			return err
		}
	}
	l.rings()
	l.sites()
	for _, group := range r.Fleet().LookAlikes() {
		l.add(levelWarning, l.at("sites", group[0]), "%s: %s", strings.Join(group, ", "), lookAlike)
	}
	if every := sign.Shortest(l.fleet.Policy.Fetch); every < oftenFetch {
		l.add(levelWarning, l.at("policy", "fetch"), "sites ask for news every %s: a dear connection pays for each time",
			count(int(every/time.Minute), "minute"))
	}
	l.settings()
	l.pins()
	for _, w := range l.a.expiryWarnings(r) {
		l.add(levelWarning, "", "%s", w)
	}
	return nil
}

// moves speaks of sites that can't follow their pin.
func (l *linter) moves() error {
	e, err := l.r.Effect(l.fleet)
	if err != nil {
		return err
	}
	for _, m := range e.Moves {
		if m.Cannot != "" {
			l.add(levelWarning, l.at("sites", m.Sites[0]), "%s will stay on %s: %s", sitesText(m.Sites), m.From, m.Cannot)
		}
	}
	return nil
}

// pins speaks of releases: those that nobody runs, and those whose bytes are not here.
func (l *linter) pins() {
	pinned := map[string]bool{}
	for _, name := range sorted(l.fleet.Sites) {
		if as, err := l.fleet.Assignment(name); err == nil {
			pinned[as.Pin] = true
		}
	}
	for _, ring := range l.fleet.Rings {
		pinned[ring.Pin] = true
	}
	var idle []string
	for _, v := range l.versions {
		if !pinned[v] {
			idle = append(idle, v)
		}
	}
	if len(idle) > 0 {
		l.add(levelNote, "", "nobody is pinned to %s", strings.Join(idle, ", "))
	}
	store, err := bundle.OpenStore(l.r.StoreDir())
	if err != nil {
		l.add(levelError, "", "%v", err)
		return
	}
	l.agents(store)
	for _, v := range l.versions {
		if r := l.releases[v]; r != nil && pinned[v] {
			if gone := absent(r, store); gone > 0 {
				l.add(levelError, "", "%s", missingBytes(v, gone, store).Error())
			}
		}
	}
}
