package main

import (
	"context"
	"fmt"
	"slices"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/manifest"
	"dhow/manifest/deltas"
	"dhow/manifest/sign"
)

// maxFrom is how many releases deltas are made from when a release is published: each takes minutes.
const maxFrom = 8

// makeWays makes the ways to a release that are not there yet, from older releases, and keeps them in the repository.
func (a *app) makeWays(ctx context.Context, r *sign.Repository, store *bundle.Store, release *manifest.Release, from []string) ([]string, error) {
	known, err := r.Ways(release.Version)
	if err != nil {
		return nil, err
	}
	var older []*manifest.Release
	for _, v := range from {
		o, err := r.Release(v)
		if err != nil {
			return nil, err
		}
		older = append(older, o)
	}
	show, end := waysProgress(a)
	w, warnings, err := deltas.Make(ctx, store, release, older, known, show)
	end()
	if err != nil || w == nil {
		return warnings, err
	}
	return warnings, r.SaveWays(w)
}

// waysProgress shows on a terminal what is being made.
func waysProgress(a *app) (show func(deltas.Step), end func()) {
	now := ""
	return func(s deltas.Step) {
		text := "deltas from " + s.From + ": "
		if s.From == "" {
			text = "whole layers: "
		}
		text += fmt.Sprintf("%s layer %d, %s", s.Service, s.Layer, s.Stage)
		if s.Total > 0 {
			text += fmt.Sprintf(" %d %%", min(100, s.Done*100/s.Total))
		}
		if text != now {
			now = text
			status(a.err, text)
		}
	}, func() { status(a.err, "") }
}

// twoBefore returns the releases before version whose sites most likely come to it, the newest first.
func twoBefore(r *sign.Repository, version string) ([]string, error) {
	all, err := r.Releases()
	if err != nil {
		return nil, err
	}
	older := slices.DeleteFunc(all, func(v string) bool { return manifest.CompareVersions(v, version) >= 0 })
	older = older[max(0, len(older)-sign.KeepBefore):]
	slices.Reverse(older)
	return older, nil
}

// deltasFrom reads --deltas-from of a release, nothing meaning the two before.
func deltasFrom(r *sign.Repository, version string, named []string, none bool) ([]string, error) {
	if none {
		return nil, nil
	}
	if len(named) == 0 {
		return twoBefore(r, version)
	}
	var from []string
	for _, v := range named {
		release, err := r.Release(v)
		if err != nil {
			return nil, err
		}
		if release.Version == version {
			return nil, fail(api.CodeUsage, "--deltas-from: a delta from "+version+" to itself is nothing", "name older releases")
		}
		if !slices.Contains(from, release.Version) {
			from = append(from, release.Version)
		}
	}
	return from, nil
}

// waysForSites makes, before anything is signed, the ways to every release that is pinned and whose bytes are here: from the releases that sites
// come from by what was signed so far, and from the two before it.
func (a *app) waysForSites(ctx context.Context, r *sign.Repository, store *bundle.Store, fleet *manifest.Fleet) (warnings []string, err error) {
	effect, err := r.Effect(fleet)
	if err != nil {
		return nil, err
	}
	from := map[string][]string{}
	for _, pin := range pinnedVersions(fleet) {
		if from[pin], err = twoBefore(r, pin); err != nil {
			return nil, err
		}
	}
	known, err := r.Releases()
	if err != nil {
		return nil, err
	}
	for _, m := range effect.Moves {
		if m.Cannot == "" && m.From != "" && m.To != "" && slices.Contains(known, m.From) && !slices.Contains(from[m.To], m.From) {
			from[m.To] = append(from[m.To], m.From)
		}
	}
	for _, pin := range sorted(from) {
		release, err := r.Release(pin)
		if err != nil {
			return nil, err
		}
		if absent(release, store) > 0 {
			continue // publishing it is refused elsewhere, preparing is not
		}
		list := from[pin]
		slices.SortFunc(list, func(x, y string) int { return manifest.CompareVersions(y, x) })
		more, err := a.makeWays(ctx, r, store, release, list[:min(len(list), maxFrom)])
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, more...)
	}
	return warnings, nil
}

// pinnedVersions lists the releases that rings and sites are pinned to.
func pinnedVersions(fleet *manifest.Fleet) []string {
	pinned := map[string]bool{}
	for _, ring := range fleet.Rings {
		pinned[ring.Pin] = true
	}
	for _, site := range fleet.Sites {
		pinned[site.Pin] = true
	}
	delete(pinned, "")
	return sorted(pinned)
}
