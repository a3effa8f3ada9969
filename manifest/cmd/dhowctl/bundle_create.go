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
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

// expiresSoon is how long a bundle should be good for when it is made.
const expiresSoon = 14 * 24 * time.Hour

func (a *app) bundleCreate() *cobra.Command {
	var version, site, ring, platform, out string
	c := a.command("create --release VERSION -o FILE", "Write a release with its signed manifest into one file or folder", cobra.NoArgs,
		func(ctx context.Context, _ []string) error {
			if err := checkOutput(out); err != nil {
				return err
			}
			r, store, err := a.withStore()
			if err != nil {
				return err
			}
			release, err := r.Release(version)
			if err != nil {
				return err
			}
			signed, err := r.Documents()
			if err != nil {
				return err
			}
			if err := mayTake(r, signed, release.Version, site, ring); err != nil {
				return err
			}
			if platform != "" {
				if platform, err = manifest.NormalizePlatform(platform); err != nil {
					return err
				}
			}
			if gone := absent(release, store); gone > 0 {
				return missingBytes(release.Version, gone, store)
			}
			done, err := pack.Write(ctx, out, pack.Contents{
				Documents: signed.Files, Releases: []*manifest.Release{release}, Store: store, Platform: platform,
				Hint: bundle.Hint{Fleet: release.Fleet, Made: a.now(), Site: site, Ring: ring},
			})
			if err != nil {
				return err
			}
			size := done.Size
			if size == 0 {
				size = done.Bytes
			}
			for _, w := range done.Warnings {
				a.printf("warning   %s\n", w)
			}
			if left := signed.Expires.Sub(a.now()); left < expiresSoon {
				a.printf("warning   the manifest expires on %s: publish again before, and make a new bundle\n", signed.Expires.Format(time.DateOnly))
			}
			a.printf("Bundle %s written: release %s, manifest %d (expires %s), %s.\n",
				out, release.Version, signed.Number, signed.Expires.Format(time.DateOnly), author.SizeText(size))
			return nil
		})
	f := c.Flags()
	f.StringVar(&version, "release", "", "the release")
	f.StringVar(&site, "site", "", "make sure that this site will take it")
	f.StringVar(&ring, "ring", "", "make sure that the sites of this ring will take it")
	f.StringVar(&platform, "platform", "", "images of one platform only, for example linux/arm64")
	f.StringVarP(&out, "output", "o", "", "FILE.tgz, FILE.tar, FILE.tar.zst or a folder")
	_ = c.MarkFlagRequired("release")
	_ = c.MarkFlagRequired("output")
	c.MarkFlagsMutuallyExclusive("site", "ring")
	return c
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
	fleet, err := signedFleet(signed)
	if err != nil {
		return err
	}
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

func signedFleet(signed *sign.Documents) (*manifest.Fleet, error) {
	for path, data := range signed.Files {
		if strings.HasPrefix(path, "targets/") && strings.HasSuffix(path, "."+manifest.FleetPath) {
			return manifest.ParseFleet(data)
		}
	}
	return nil, fmt.Errorf("internal error: the signed documents hold no %s", manifest.FleetPath)
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
