package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"dhow/manifest/audit"
	"dhow/manifest/sign"
)

// manyLines is how many changes diff prints; --json has all.
const manyLines = 40

// diffJSON is diff --json. Manifest is the number of what was signed last, 0 for nothing.
type diffJSON struct {
	Manifest int64          `json:"manifest"`
	Changes  []audit.Change `json:"changes"`
	Agents   map[string]int `json:"agents,omitempty"` // how many sites will try which version of dhow itself
	*sign.Effect
}

func (a *app) diff() *cobra.Command {
	var asJSON bool
	c := a.command("diff", "Say what would change at which sites if fleet.yaml were published now", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		now, err := r.Resolve()
		if err != nil {
			return err
		}
		effect, err := r.Effect(now)
		if err != nil {
			return err
		}
		last, oldReleases, err := r.Signed()
		if err != nil {
			return err
		}
		releases, err := r.Releases()
		if err != nil {
			return err
		}
		ways, gone, err := r.ChangedWays(now)
		if err != nil {
			return err
		}
		agents, err := r.ChangedAgents(now)
		if err != nil {
			return err
		}
		d := diffJSON{Effect: effect, Changes: append(audit.Compare(last, now, oldReleases, releases), audit.Ways(ways, gone)...)}
		d.Changes, d.Agents = append(d.Changes, audit.Agents(agents)...), agentMoves(last, now)
		signed, err := r.Documents()
		switch {
		case err == nil:
			d.Manifest = signed.Number
		case !errors.Is(err, sign.ErrNotSigned):
			return err
		}
		if asJSON {
			return a.printJSON(d)
		}
		a.tellDiff(d)
		return nil
	})
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (a *app) tellDiff(d diffJSON) {
	if len(d.Changes) == 0 {
		a.printf("Nothing would change: fleet.yaml says what manifest %d says.\n", d.Manifest)
		for _, text := range effectLines(d.Effect) { // moves that can't be
			a.printf("  %s\n", text)
		}
		return
	}
	if d.Manifest == 0 {
		a.printf("Nothing was signed yet. New:\n")
	} else {
		a.printf("Against manifest %d:\n", d.Manifest)
	}
	for i, c := range d.Changes {
		if i == manyLines {
			a.printf("  … and %d more (--json has all)\n", len(d.Changes)-manyLines)
			break
		}
		a.printf("  %s\n", c.Text)
	}
	a.printf("Next publish: %s%s\n", effectText(d.Effect), alsoAgents(d.Agents))
	for _, text := range effectLines(d.Effect) {
		a.printf("  %s\n", text)
	}
}

// effectLines name the sites of an effect.
func effectLines(e *sign.Effect) (lines []string) {
	for _, m := range e.Moves {
		if m.Cannot == "" {
			lines = append(lines, moveText(m)+": "+sitesText(m.Sites))
		} else {
			lines = append(lines, fmt.Sprintf("%s will stay on %s: %s", sitesText(m.Sites), m.From, m.Cannot))
		}
	}
	for _, more := range []struct {
		what  string
		sites []string
	}{
		{"held", e.Held},
		{"no longer held", e.Released},
		{"no longer allowed to go back to the pin", e.Forbidden},
		{"removed", e.Removed},
		{"other settings", e.Settings},
	} {
		if len(more.sites) > 0 {
			lines = append(lines, more.what+": "+sitesText(more.sites))
		}
	}
	return lines
}

// orNone is a list of words for people.
func orNone(n int, what string) string {
	if n == 0 {
		return "no " + what
	}
	return fmt.Sprint(count(n, what))
}
