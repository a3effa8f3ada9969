package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

// keepBefore is how many releases before each pinned one are published as well: sites that lag behind still fetch them.
const keepBefore = 2

func (a *app) publish() *cobra.Command {
	var to []string
	c := a.command("publish --to oci://HOST/PATH | DIR", "Sign what fleet.yaml says and put it where sites look", cobra.NoArgs,
		func(ctx context.Context, _ []string) error {
			r, store, err := a.withStore()
			if err != nil {
				return err
			}
			releases, err := published(r, store)
			if err != nil {
				return err
			}
			for _, place := range to { // all, before anything is signed
				if err := a.mayReplace(ctx, r, place); err != nil {
					return err
				}
			}
			pass, err := a.passphrase(false)
			if err != nil {
				return err
			}
			r.By = by(ctx, r.Dir())
			signed, err := r.Sign(pass, a.now())
			if err != nil {
				return err
			}
			contents := pack.Contents{Documents: signed.Files, Releases: releases, Store: store}
			for _, place := range to {
				if strings.HasPrefix(place, "oci://") {
					show, end := progress(a.err, "publishing")
					err = pack.PublishOCI(ctx, place, contents, show)
					end()
				} else {
					err = pack.PublishDir(ctx, place, contents)
				}
				if err != nil {
					return err
				}
			}
			a.printf("Published: %s.%s\n", publishedText(signed, releases), movesText(signed))
			return nil
		})
	c.Flags().StringArrayVar(&to, "to", nil, "repository or folder; may be given more than once")
	_ = c.MarkFlagRequired("to")
	c.PreRunE = func(*cobra.Command, []string) error {
		for _, place := range to {
			if scheme, _, ok := strings.Cut(place, "://"); ok && scheme != "oci" {
				return fail(api.CodeUsage, "cannot publish to "+place+": only repositories (oci://HOST/PATH) and folders can be written",
					"publish into a folder and let a web server serve it")
			}
		}
		return nil
	}
	return c
}

// published returns the releases whose bytes are published: those that a ring or a site is pinned to, and the ones before each.
func published(r *sign.Repository, store *bundle.Store) ([]*manifest.Release, error) {
	all, err := r.Releases()
	if err != nil {
		return nil, err
	}
	fleet, err := r.Resolve()
	if err != nil {
		return nil, err
	}
	pinned := map[string]bool{}
	for _, ring := range fleet.Rings {
		pinned[ring.Pin] = true
	}
	for _, site := range fleet.Sites {
		pinned[site.Pin] = true
	}
	wanted := map[string]bool{}
	for i, v := range all {
		if pinned[v] {
			for _, near := range all[max(0, i-keepBefore) : i+1] {
				wanted[near] = true
			}
		}
	}
	var releases []*manifest.Release
	for _, v := range sorted(wanted) {
		release, err := r.Release(v)
		if err != nil {
			return nil, err
		}
		switch gone := absent(release, store); {
		case gone == 0:
			releases = append(releases, release)
		case pinned[v]:
			return nil, missingBytes(v, gone, store)
		}
	}
	slices.SortFunc(releases, func(x, y *manifest.Release) int { return manifest.CompareVersions(x.Version, y.Version) })
	return releases, nil
}

func missingBytes(version string, gone int, store *bundle.Store) error {
	return fail(api.CodeRefused, fmt.Sprintf("%s of release %s are not in %s", count(gone, "blob"), version, store.Dir()),
		"copy that folder from the computer where the release was made: it is not in git")
}

// absent counts the blobs of a release that the store lacks, image manifests included.
func absent(r *manifest.Release, store *bundle.Store) (n int) {
	for _, b := range blobs(r) {
		if !store.Has(b) {
			n++
		}
	}
	return n
}

func blobs(r *manifest.Release) map[string]manifest.Blob {
	all := map[string]manifest.Blob{}
	for _, f := range r.Files {
		all[f.Digest.String()] = f.Blob
	}
	for _, i := range r.Images {
		for _, p := range i.Platforms {
			all[p.Manifest.Digest.String()], all[p.Config.Digest.String()] = p.Manifest, p.Config
			for _, l := range p.Layers {
				all[l.Digest.String()] = l.Blob
			}
		}
	}
	return all
}

func publishedText(signed *sign.Documents, releases []*manifest.Release) string {
	text := fmt.Sprintf("manifest %d (expires %s)", signed.Number, signed.Expires.Format(time.DateOnly))
	if len(releases) == 0 {
		return text + ", no release yet"
	}
	all := map[string]manifest.Blob{}
	var versions []string
	for _, r := range releases {
		versions = append(versions, r.Version)
		for d, b := range blobs(r) {
			all[d] = b
		}
	}
	var size int64
	for _, b := range all {
		size += b.Size
	}
	what := ", release "
	if len(versions) > 1 {
		what = ", releases "
	}
	return text + what + strings.Join(versions, ", ") + ", " + author.SizeText(size)
}

func movesText(signed *sign.Documents) string {
	var moves []string
	for _, c := range signed.Changes {
		from, to := c.From, c.To
		if from == "" {
			from = "new"
		}
		if to == "" {
			to = "nothing"
		}
		moves = append(moves, fmt.Sprintf("%s (%s → %s)", c.Site, from, to))
	}
	if len(moves) == 0 {
		return ""
	}
	n := count(len(moves), "site")
	if len(moves) > 10 {
		moves = append(moves[:10], "…")
	}
	return " " + n + " will move: " + strings.Join(moves, ", ") + "."
}
