package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

type publishOptions struct {
	to              []string
	prepare, finish string
	json, takeOver  bool
	noDeltas        bool
}

func (a *app) publish() *cobra.Command {
	var o publishOptions
	c := a.command("publish --to oci://HOST/PATH | DIR", "Sign what fleet.yaml says and put it where sites look", nil,
		func(ctx context.Context, more []string) error {
			if o.prepare != "" {
				return a.prepare(ctx, o)
			}
			return a.publishTo(ctx, o, more)
		})
	c.Long = c.Short + `.

Where the keys are on several computers: "publish --prepare FILE" writes what is to be signed into one file, "sign FILE" adds the
signatures of the keys of the computer that it is carried to, and "publish --finish FILE --to …" publishes it (several copies that
were signed apart: --finish FILE FILE2 …).

What sites fetch is made small first, unless it was before: deltas to every pinned release from those that its sites come from, and from the
two before it. That takes minutes for a large release; repeated it takes none, and an interrupted one goes on where it was.`
	c.Flags().StringArrayVar(&o.to, "to", nil, "repository or folder; may be given more than once")
	c.Flags().StringVar(&o.prepare, "prepare", "", "write what is to be signed to this file, in place of publishing")
	c.Flags().StringVar(&o.finish, "finish", "", "publish what was signed in this file, and in the files named behind it")
	c.Flags().BoolVar(&o.json, "json", false, "JSON output")
	c.Flags().BoolVar(&o.noDeltas, "no-deltas", false, "make no deltas; those that are there go along")
	c.Flags().BoolVar(&o.takeOver, "take-over", false, "publish although somebody else has begun to: her computer has died")
	c.MarkFlagsMutuallyExclusive("prepare", "finish")
	c.Args = func(c *cobra.Command, args []string) error {
		if o.finish == "" {
			return cobra.NoArgs(c, args)
		}
		return nil
	}
	c.PreRunE = func(*cobra.Command, []string) error {
		if len(o.to) == 0 && o.prepare == "" {
			return fail(api.CodeUsage, "--to is missing", "dhowctl publish --to oci://HOST/PATH or a folder")
		}
		for _, place := range o.to {
			if scheme, _, ok := strings.Cut(place, "://"); ok && scheme != "oci" {
				return fail(api.CodeUsage, "cannot publish to "+place+": only repositories (oci://HOST/PATH) and folders can be written",
					"publish into a folder and let a web server serve it")
			}
		}
		return nil
	}
	return c
}

// publishTo signs, or finishes a ceremony, and puts the result to all places.
func (a *app) publishTo(ctx context.Context, o publishOptions, more []string) error {
	r, store, err := a.withStore()
	if err != nil {
		return err
	}
	var files []*sign.Ceremony
	var stay []string
	var fleet *manifest.Fleet
	var near []*manifest.Release
	if o.finish != "" {
		for _, name := range append([]string{o.finish}, more...) {
			c, err := readCeremony(name)
			if err != nil {
				return err
			}
			files = append(files, c)
		}
	} else if fleet, err = r.Resolve(); err != nil {
		return err
	} else if near, err = published(r, fleet, store); err != nil { // before anything is signed
		return err
	} else if stay, err = follows(r, fleet); err != nil {
		return err
	}
	r.By = by(ctx, r.Dir())
	for _, place := range o.to { // all, before anything is signed
		if err := a.mayReplace(ctx, r, place); err != nil {
			return err
		}
	}
	pass, err := a.passphrase(false)
	if err != nil {
		return err
	}
	if files == nil && !o.noDeltas {
		warnings, err := a.waysForSites(ctx, r, store, fleet)
		if err != nil {
			return err
		}
		stay = append(stay, warnings...)
	}
	claims, err := a.claim(ctx, r, o)
	defer func() {
		for _, c := range claims {
			c.End()
		}
	}()
	if err != nil {
		return err
	}
	if files == nil {
		warnings, err := leaveLost(ctx, r, store, near, claims)
		if err != nil {
			return err
		}
		stay = append(stay, warnings...)
	}
	if fleet != nil { // before anything is signed
		if err := a.agentsThere(ctx, r, store, fleet, claims); err != nil {
			return err
		}
	}
	last, _, err := r.Signed()
	if err != nil {
		return err
	}
	var signed *sign.Documents
	if files != nil {
		signed, err = r.Finish(files, pass, a.now())
	} else {
		signed, err = r.Sign(pass, a.now())
	}
	if err != nil {
		return err
	}
	releases, err := published(r, signed.Fleet, store)
	if err != nil {
		return err
	}
	ways, err := signedWays(signed, releases)
	if err != nil {
		return err
	}
	agents, err := signed.Agents()
	if err != nil {
		return err
	}
	contents := pack.Contents{Documents: signed.Files, Releases: releases, Agents: agents, Store: store}
	show, end := progress(a.err, "publishing")
	for n, claim := range claims {
		var warnings []string
		if contents.Ways, contents.There, warnings, err = waysAt(ctx, store, ways, claim); err != nil {
			return err
		}
		stay = append(stay, warnings...)
		programs, err := missingPrograms(ctx, store, agents, claim.Has)
		if err != nil {
			return err
		}
		for _, b := range programs {
			contents.There[b.Digest] = true
		}
		err = claim.Publish(ctx, contents, show)
		end()
		if err != nil {
			return a.overtaken(ctx, r, o.to[n], err)
		}
	}
	warnings := append(append([]string{}, stay...), a.expiryWarnings(r)...) // never null
	if o.json {
		done := jsonPublished{
			Manifest: signed.Number, Expires: signed.Expires, New: signed.New, To: o.to,
			Releases: []string{}, Bytes: publishedBytes(releases, ways), Effect: signed.Effect, Warnings: warnings,
		}
		for _, release := range releases {
			done.Releases = append(done.Releases, release.Version)
		}
		return a.printJSON(done)
	}
	a.printf("Published: %s.%s%s\n", publishedText(signed, releases, ways), alsoText(signed.Effect), alsoAgents(agentMoves(last, signed.Fleet)))
	for _, w := range warnings {
		a.warnf("%s", w)
	}
	return nil
}

// jsonPublished is what publish --json prints.
type jsonPublished struct {
	Manifest     int64     `json:"manifest"`
	Expires      time.Time `json:"expires"`
	New          bool      `json:"new"` // something was signed
	To           []string  `json:"to"`
	Releases     []string  `json:"releases"`
	Bytes        int64     `json:"bytes"` // of all that is published of releases and ways
	Warnings     []string  `json:"warnings"`
	*sign.Effect           // against what was signed before
}

// prepare writes the file of a ceremony.
func (a *app) prepare(ctx context.Context, o publishOptions) error {
	r, store, err := a.withStore()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(o.prepare); err == nil {
		return fail(api.CodeUsage, o.prepare+" is there already", "it may hold signatures; name another file")
	}
	r.By = by(ctx, r.Dir())
	for _, place := range o.to {
		if err := a.mayReplace(ctx, r, place); err != nil {
			return err
		}
	}
	fleet, err := r.Resolve()
	if err != nil {
		return err
	}
	stay, err := follows(r, fleet)
	if err != nil {
		return err
	}
	if !o.noDeltas {
		warnings, err := a.waysForSites(ctx, r, store, fleet)
		if err != nil {
			return err
		}
		stay = append(stay, warnings...)
	}
	for _, w := range stay {
		a.warnf("%s", w)
	}
	c, err := r.Prepare(a.now())
	if err != nil {
		return err
	}
	p, err := c.Judge(r, a.now())
	if err != nil {
		return err
	}
	shown, err := propose(r, p)
	if err != nil {
		return err
	}
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := durable.WriteFile(o.prepare, data, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", o.prepare, err)
	}
	if o.json {
		return a.printJSON(proposalJSON(shown))
	}
	a.printf("%sWritten to %s. Where the keys are: dhowctl sign %s\n", proposalText(shown, a.fleet), o.prepare, o.prepare)
	return nil
}

// published returns the releases whose bytes are published: those that a ring or a site is pinned to, and the ones before each.
func published(r *sign.Repository, fleet *manifest.Fleet, store *bundle.Store) ([]*manifest.Release, error) {
	near, err := r.Near(fleet)
	if err != nil {
		return nil, err
	}
	pinned := pinnedVersions(fleet)
	var releases []*manifest.Release
	for _, v := range near {
		release, err := r.Release(v)
		if err != nil {
			return nil, err
		}
		switch gone := absent(release, store); {
		case gone == 0:
			releases = append(releases, release)
		case slices.Contains(pinned, v):
			return nil, missingBytes(v, gone, store)
		}
	}
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

func publishedText(signed *sign.Documents, releases []*manifest.Release, ways []*manifest.Ways) string {
	text := fmt.Sprintf("manifest %d (expires %s)", signed.Number, signed.Expires.Format(time.DateOnly))
	if len(releases) == 0 {
		return text + ", no release yet"
	}
	var versions []string
	for _, r := range releases {
		versions = append(versions, r.Version)
	}
	what := ", release "
	if len(versions) > 1 {
		what = ", releases "
	}
	return text + what + strings.Join(versions, ", ") + ", " + author.SizeText(publishedBytes(releases, ways))
}

// publishedBytes is how large all blobs of releases and ways are together.
func publishedBytes(releases []*manifest.Release, ways []*manifest.Ways) (size int64) {
	all := map[string]manifest.Blob{}
	for _, r := range releases {
		maps.Copy(all, blobs(r))
	}
	for _, w := range ways {
		for _, b := range w.Blobs() {
			all[b.Digest.String()] = b
		}
	}
	for _, b := range all {
		size += b.Size
	}
	return size
}

// alsoAgents is a sentence more about agents, when there is something to say.
func alsoAgents(moves map[string]int) string {
	if len(moves) == 0 {
		return ""
	}
	return " " + agentText(moves)
}

// alsoText is a sentence more about sites, when there is something to say.
func alsoText(e *sign.Effect) string {
	text := effectText(e)
	if text == noMoves+"." {
		return ""
	}
	return " " + strings.ToUpper(text[:1]) + text[1:]
}
