package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/installer/carry"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

// expiresSoon is how long a bundle should be good for when it is made.
const expiresSoon = 14 * 24 * time.Hour

// meantFor is for whom a bundle is, and what it holds.
type meantFor struct {
	site, ring, platform string
	all                  bool
	version              string
	since                string
}

// inParts is how a bundle is written in parts.
type inParts struct {
	size   string
	parity int
}

func (a *app) bundleCreate() *cobra.Command {
	var m meantFor
	var out string
	var parts inParts
	var inst installerBeside
	c := a.command("create (--release VERSION | --site NAME | --ring NAME | --all) -o FILE",
		"Write releases with their signed manifest into one file or folder", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return a.createBundle(ctx, out, m, parts, inst) })
	c.Long = "A bundle for a site, for the sites of a ring, or for all of them holds the releases that they were signed for. The manifest in it is\n" +
		"always the whole one: what a site runs stands there under its name, and not in what the bundle says about itself.\n\n" +
		"With --since it leaves out what a release has, and holds deltas from that where the release is published with them: only sites that\n" +
		"have that release can use it. With --split it is written as FILE.001, FILE.002 … and FILE.sums, which a site reads as they are; with\n" +
		"--parity N any N of the parts may be lost or damaged.\n\n" +
		"With --with-installer a computer that is no site yet becomes one from the stick alone: sudo sh /media/usb/install --site NAME."
	f := c.Flags()
	f.StringVar(&m.version, "release", "", "this release only")
	f.StringVar(&m.site, "site", "", "for this site; others refuse it. With --release: make sure that it will take that")
	f.StringVar(&m.ring, "ring", "", "for the sites of this ring; others refuse it. With --release: make sure that they will take that")
	f.BoolVar(&m.all, "all", false, "for all sites")
	f.StringVar(&m.platform, "platform", "", "images of one platform only, for example linux/arm64")
	f.StringVar(&m.since, "since", "", "leave out what this release has, for sites that run it")
	parts.flags(f, "split")
	inst.flags(f)
	f.StringVarP(&out, "output", "o", "", "FILE.tgz, FILE.tar, FILE.tar.zst or a folder")
	c.MarkFlagsOneRequired("release", "site", "ring", "all")
	_ = c.MarkFlagRequired("output")
	c.MarkFlagsMutuallyExclusive("site", "ring", "all")
	c.MarkFlagsMutuallyExclusive("release", "all")
	return c
}

func (a *app) createBundle(ctx context.Context, out string, m meantFor, parts inParts, inst installerBeside) error {
	if err := checkOutput(out); err != nil {
		return err
	}
	if err := inst.check(); err != nil {
		return err
	}
	split, err := parts.options()
	if err != nil {
		return err
	}
	r, store, err := a.withStore()
	if err != nil {
		return err
	}
	if m.version != "" {
		release, err := r.Release(m.version)
		if err != nil {
			return err
		}
		m.version = release.Version
	}
	signed, err := r.Documents()
	if err != nil {
		return err
	}
	if signed.NewRoot != 0 {
		return fail(api.CodeRefused, fmt.Sprintf("root %d is new and the manifest was not signed since: sites would not take both together", signed.NewRoot),
			"publish first, then make the bundle")
	}
	versions, err := bundled(r, signed, m)
	if err != nil {
		return err
	}
	if m.platform != "" {
		if m.platform, err = manifest.NormalizePlatform(m.platform); err != nil {
			return err
		}
	}
	since, err := sinceRelease(r, signed, m.since)
	if err != nil {
		return err
	}
	var releases []*manifest.Release
	for _, v := range versions {
		release, err := r.Release(v)
		if err != nil {
			return err
		}
		if since != nil {
			if err := checkSince(release, since, store, m.platform); err != nil {
				return err
			}
		} else if gone := absent(release, store); gone > 0 {
			return missingBytes(v, gone, store)
		}
		releases = append(releases, release)
	}
	agents, warning, err := bundledAgents(signed, m, store)
	if err != nil {
		return err
	}
	var programs []carry.Program
	if inst.wanted {
		if programs, err = inst.programs(agents, store); err != nil {
			return err
		}
	}
	done, err := pack.Write(ctx, out, pack.Contents{
		Documents: signed.Files, Releases: releases, Agents: agents, Store: store, Platform: m.platform, Since: since, Split: split,
		Hint: bundle.Hint{Fleet: releases[0].Fleet, Made: a.now(), Site: m.site, Ring: m.ring},
	})
	if err != nil {
		return err
	}
	size := done.Size
	if size == 0 {
		size = done.Bytes
	}
	if warning != "" {
		done.Warnings = append(done.Warnings, warning)
	}
	for _, w := range done.Warnings {
		a.printf("warning   %s\n", w)
	}
	if left := signed.Expires.Sub(a.now()); left < expiresSoon {
		a.printf("warning   the manifest expires on %s: publish again before, and make a new bundle\n", signed.Expires.Format(time.DateOnly))
	}
	what := "release " + strings.Join(versions, ", ")
	if len(versions) > 1 {
		what = "releases " + strings.Join(versions, ", ")
	}
	if since != nil {
		what += " since " + since.Release.Version
	}
	who := ""
	switch {
	case m.site != "":
		who = " for site " + m.site
	case m.ring != "":
		who = " for ring " + m.ring
	}
	a.printf("Bundle %s written%s: %s, manifest %d (expires %s), %s%s.\n",
		out, who, what, signed.Number, signed.Expires.Format(time.DateOnly), author.SizeText(size), partsText(done.Parts, parts.parity))
	if inst.wanted {
		return a.putInstaller(ctx, out, inst, programs)
	}
	return nil
}

// checkOutput refuses names that look like files of a kind that is not written: they would become folders.
func checkOutput(out string) error {
	name := strings.ToLower(filepath.Base(out))
	if strings.HasSuffix(out, "/") || strings.HasSuffix(out, string(filepath.Separator)) {
		return nil
	}
	for _, end := range []string{".tgz", ".tar.gz", ".tar.zst", ".tar"} {
		if strings.HasSuffix(name, end) {
			return nil
		}
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		return nil
	}
	end := filepath.Ext(name)
	if !strings.ContainsFunc(end, unicode.IsLetter) { // none, or the end of a version
		return nil
	}
	return fail(api.CodeUsage, fmt.Sprintf("cannot write bundle %s: %s is no kind of bundle", out, end),
		"write FILE.tgz, FILE.tar.gz, FILE.tar.zst or FILE.tar, or a folder: "+out+"/")
}

// mayTake refuses a bundle that the site or ring it is for would not take: what counts is what was signed, not what fleet.yaml says.
func mayTake(r *sign.Repository, signed *sign.Documents, version, site, ring string) error {
	publish := "dhowctl publish --to oci://HOST/PATH or a folder"
	fleet := signed.Fleet
	if !signedRelease(signed, version) {
		return fail(api.CodeRefused, "release "+version+" is not in the manifest that was signed last: no site would take it",
			"publish first: "+publish)
	}
	asked, err := r.Resolve()
	if err != nil {
		return err
	}
	for _, target := range []struct {
		kind, name string
		pin        func(*manifest.Fleet) (string, *manifest.Hold, bool)
	}{
		{"site", site, func(f *manifest.Fleet) (string, *manifest.Hold, bool) {
			to, err := f.Assignment(site)
			return to.Pin, to.Hold, err == nil
		}},
		{"ring", ring, func(f *manifest.Fleet) (string, *manifest.Hold, bool) {
			to, ok := f.Rings[ring]
			return to.Pin, nil, ok
		}},
	} {
		if target.name == "" {
			continue
		}
		name := target.kind + " " + target.name
		pin, hold, ok := target.pin(fleet)
		next, _, known := target.pin(asked)
		switch {
		case !known:
			return fail(api.CodeUsage, "there is no "+name, "dhowctl "+target.kind+" list shows them")
		case (!ok || pin != version) && next == version:
			return fail(api.CodeRefused, name+" is pinned to "+version+" in fleet.yaml, but that is not signed yet: it would not take the bundle",
				"publish first: "+publish)
		case !ok || pin != version:
			return fail(api.CodeRefused, fmt.Sprintf("%s is pinned to %s, not to %s: it would not take the bundle", name, orNothing(pin), version),
				fmt.Sprintf("dhowctl pin %s --%s %s, then publish first: %s", version, target.kind, target.name, publish))
		case hold != nil:
			return fail(api.CodeRefused, name+" is held ("+hold.Reason+"): it would not take the bundle",
				"dhowctl release-hold "+target.name+", then publish first: "+publish)
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func signedRelease(signed *sign.Documents, version string) bool {
	for path := range signed.Files {
		if !strings.HasPrefix(path, "targets/releases/") {
			continue
		}
		if _, name, ok := strings.Cut(filepath.Base(path), "."); ok && name == version+".json" {
			return true
		}
	}
	return false
}
