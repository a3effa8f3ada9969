package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle/fetch"
	"dhow/manifest/audit"
	"dhow/manifest/sign"
)

// groupFrom is from how many sites on, of which the same is said, one line says it of all.
const groupFrom = 4

func (a *app) audit() *cobra.Command {
	var from, root, since string
	var asJSON bool
	var opts audit.Options
	c := a.command("audit", "Say who changed what and when, from the signed metadata alone", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		if since != "" {
			at, err := time.Parse(time.DateOnly, since)
			if err != nil {
				return fail(api.CodeUsage, fmt.Sprintf("--since %s is no date", since), "write it like this: --since 2026-11-21")
			}
			opts.Since = at
		}
		history, err := a.history(ctx, from, root, opts)
		if err != nil {
			return err
		}
		if asJSON {
			err = a.printJSON(history)
		} else {
			a.tellHistory(history, opts)
		}
		if err == nil && len(history.Damaged) > 0 {
			return fail(api.CodeNotTrusted, "a part of the history can't be believed: "+strings.Join(history.Damaged, "; "),
				"get those files back from git, or from another clone of the fleet repository")
		}
		return err
	})
	c.Long = "Reads every signed list and every root, holds each against the keys that were in force, and says what it changed, newest first.\n" +
		"The fleet repository keeps all of them. A published place or a bundle (--from) has as many as are needed there."
	f := c.Flags()
	f.StringVar(&from, "from", "", "read oci://HOST/PATH, https://…, a folder or a bundle in place of the fleet repository")
	f.StringVar(&root, "root", "", "with --from: root document to trust (default: that of the fleet repository)")
	f.StringVar(&opts.Site, "site", "", "only what concerns this site")
	f.StringVar(&opts.Ring, "ring", "", "only what concerns this ring")
	f.StringVar(&since, "since", "", "only what was signed on that day or later, such as 2026-11-21")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	c.MarkFlagsMutuallyExclusive("site", "ring")
	return c
}

func (a *app) history(ctx context.Context, from, rootFile string, opts audit.Options) (*audit.History, error) {
	place := from
	if from == "" {
		place = a.fleet
		r, err := a.repository()
		if err != nil {
			return nil, err
		}
		if _, err := r.Documents(); errors.Is(err, sign.ErrNotSigned) {
			return nil, err
		}
	}
	root, err := a.rootOfTrust(rootFile)
	if err != nil {
		return nil, err
	}
	src, err := fetch.Open(ctx, filepath.FromSlash(place))
	if err != nil {
		return nil, err
	}
	defer src.Close()
	opts.Now = a.now
	h, err := audit.Read(ctx, src, root, opts)
	if errors.Is(err, fs.ErrNotExist) && explain(err, true).Code == api.CodeUsage {
		return nil, fail(api.CodeNotTrusted, fmt.Sprintf("%s holds no signed manifest: %v", place, err), "name the place that sites read")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return h, nil
}

func (a *app) tellHistory(h *audit.History, opts audit.Options) {
	t := newTable("NUMBER", "SIGNED", "BY", "WITH KEY", "CHANGE")
	for _, e := range h.Entries {
		number, made, keys := fmt.Sprintf("%s %d", e.Kind, e.Number), "-", dash(strings.Join(e.Keys, ", "))
		if e.Last > 0 {
			number += fmt.Sprintf("–%d", e.Last)
		}
		if !e.Made.IsZero() {
			made = e.Made.Format("2006-01-02 15:04Z")
		}
		for _, text := range changeTexts(e.Changes) {
			t.add(number, made, dash(e.By), keys, text)
		}
		if e.Problem != "" {
			t.add(number, made, dash(e.By), keys, "✗ "+e.Problem)
		}
	}
	if len(h.Entries) > 0 {
		a.printf("%s", t)
		return
	}
	who := ""
	switch {
	case opts.Site != "":
		who = " for site " + opts.Site
	case opts.Ring != "":
		who = " for ring " + opts.Ring
	}
	if !opts.Since.IsZero() {
		who += " since " + opts.Since.Format(time.DateOnly)
	}
	a.printf("Nothing was changed%s.\n", who)
}

// changeTexts are the changes in words. Many sites of which the same is to be said share a line.
func changeTexts(changes []audit.Change) []string {
	said := func(c audit.Change) string { return strings.TrimPrefix(c.Text, "site "+c.Name+" ") }
	same := map[string][]string{}
	for _, c := range changes {
		if c.What == "site" {
			same[said(c)] = append(same[said(c)], c.Name)
		}
	}
	var texts []string
	for _, c := range changes {
		names := same[said(c)]
		switch {
		case c.What != "site" || len(names) < groupFrom:
			texts = append(texts, c.Text)
		case names[0] == c.Name:
			texts = append(texts, fmt.Sprintf("%d sites %s (%s, …, %s)", len(names), said(c), names[0], names[len(names)-1]))
		}
	}
	return texts
}
