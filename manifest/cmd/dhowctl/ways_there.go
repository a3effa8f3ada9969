package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/sign"

	"github.com/opencontainers/go-digest"
)

// signedWays returns the ways to releases that a signed list names.
func signedWays(signed *sign.Documents, releases []*manifest.Release) (list []*manifest.Ways, err error) {
	for _, release := range releases {
		w, err := signed.Ways(release.Version)
		if err != nil {
			return nil, err
		}
		if w != nil {
			list = append(list, w)
		}
	}
	return list, nil
}

// onlyThere sorts the blobs of ways that the store lacks, as they were made on another computer: those that every place has already, and those
// that are lost.
func onlyThere(ctx context.Context, store *bundle.Store, w *manifest.Ways, claims []*pack.Claim) (there, lost map[digest.Digest]bool, err error) {
	there, lost = map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for _, b := range w.Blobs() {
		if store.Has(b) {
			continue
		}
		has := len(claims) > 0
		for _, c := range claims {
			if has {
				if has, err = c.Has(ctx, b); err != nil {
					return nil, nil, err
				}
			}
		}
		if has {
			there[b.Digest] = true
		} else {
			lost[b.Digest] = true
		}
	}
	return there, lost, nil
}

// leaveLost takes out of the ways to releases, before they are signed, those whose bytes are neither here nor at all places: sites would ask
// for them in vain.
func leaveLost(ctx context.Context, r *sign.Repository, store *bundle.Store, releases []*manifest.Release, claims []*pack.Claim) (
	warnings []string, err error,
) {
	for _, release := range releases {
		w, err := r.Ways(release.Version)
		if err != nil {
			return nil, err
		}
		if w == nil {
			continue
		}
		_, lost, err := onlyThere(ctx, store, w, claims)
		if err != nil {
			return nil, err
		}
		if len(lost) == 0 {
			continue
		}
		warnings = append(warnings, lostText(w, lost, "they are left out", store))
		without(w, lost)
		if err := r.SaveWays(w); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// waysAt returns what of the ways can be published at one place, and the blobs of them that are only there. After a ceremony it may be less than
// what was signed.
func waysAt(ctx context.Context, store *bundle.Store, ways []*manifest.Ways, claim *pack.Claim) (
	list []*manifest.Ways, there map[digest.Digest]bool, warnings []string, err error,
) {
	there = map[digest.Digest]bool{}
	for _, w := range ways {
		found, lost, err := onlyThere(ctx, store, w, []*pack.Claim{claim})
		if err != nil {
			return nil, nil, nil, err
		}
		for d := range found {
			there[d] = true
		}
		if len(lost) > 0 {
			warnings = append(warnings, lostText(w, lost, "sites take what comes next", store))
			copied := *w
			copied.Layers = slices.Clone(w.Layers)
			w = &copied
			without(w, lost)
		}
		list = append(list, w)
	}
	return list, there, warnings, nil
}

// without takes ways out.
func without(w *manifest.Ways, lost map[digest.Digest]bool) {
	for i := range w.Layers {
		l := &w.Layers[i]
		if l.Full != nil && lost[l.Full.Digest] {
			l.Full = nil
		}
		l.Deltas = slices.DeleteFunc(slices.Clone(l.Deltas), func(d manifest.Delta) bool { return lost[d.Digest] })
	}
	w.Layers = slices.DeleteFunc(w.Layers, func(l manifest.LayerWays) bool { return l.Full == nil && len(l.Deltas) == 0 })
}

// lostText says which ways have no bytes, by the releases that they begin with.
func lostText(w *manifest.Ways, lost map[digest.Digest]bool, then string, store *bundle.Store) string {
	var what []string
	add := func(text string) {
		if !slices.Contains(what, text) {
			what = append(what, text)
		}
	}
	for _, l := range w.Layers {
		if l.Full != nil && lost[l.Full.Digest] {
			add("whole layers as zstd")
		}
		for _, d := range l.Deltas {
			if lost[d.Digest] {
				add("deltas from " + d.From)
			}
		}
	}
	slices.Sort(what)
	return fmt.Sprintf("release %s: the bytes of its %s are neither here nor there, and %s; %s has them on the computer where they were made",
		w.Version, strings.Join(what, ", "), then, store.Dir())
}
