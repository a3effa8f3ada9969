package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"dhow/manifest/sign"
	"dhow/manifest/trust"
)

// shownRoot is one root of root show --json.
type shownRoot struct {
	Root        string    `json:"root"` // its file
	Number      int64     `json:"number"`
	Fingerprint string    `json:"fingerprint"`
	Expires     time.Time `json:"expires"`
}

func (a *app) rootShow() *cobra.Command {
	var asJSON, all bool
	c := a.command("show", "Print the file and the fingerprint of the newest root of trust", cobra.NoArgs, func(context.Context, []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		roots, err := shownRoots(r)
		if err != nil {
			return err
		}
		newest, first := roots[len(roots)-1], roots[0]
		switch {
		case asJSON && all:
			return a.printJSON(roots)
		case asJSON:
			return a.printJSON(struct {
				shownRoot
				First string `json:"first_fingerprint"`
			}{newest, first.Fingerprint})
		case all:
			t := newTable("ROOT", "FINGERPRINT", "EXPIRES", "FILE")
			for _, s := range roots {
				t.add(fmt.Sprint(s.Number), s.Fingerprint, s.Expires.Format(time.DateOnly), s.Root)
			}
			a.printf("%s", t)
			return nil
		}
		a.printf("%s\n%s\n", newest.Root, newest.Fingerprint)
		if len(roots) > 1 {
			a.printf("root %d; sites that were given the first one know it as %s\n", newest.Number, first.Fingerprint)
		}
		a.warnExpiry(r)
		return nil
	})
	c.Long = "New sites begin with the newest root: they then depend on no key that was replaced. Its fingerprint is read over the phone."
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&all, "all", false, "every root that there was")
	return c
}

// shownRoots are the roots of the repository, the first one first.
func shownRoots(r *sign.Repository) ([]shownRoot, error) {
	documents, err := r.Roots()
	if err != nil {
		return nil, err
	}
	var roots []shownRoot
	for n, data := range documents {
		s := shownRoot{Root: filepath.Join(r.Dir(), "metadata", fmt.Sprintf("%d.root.json", n+1)), Number: int64(n + 1)}
		if s.Fingerprint, err = trust.Fingerprint(data); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Root, err)
		}
		if s.Expires, err = trust.RootExpires(data); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Root, err)
		}
		roots = append(roots, s)
	}
	return roots, nil
}
