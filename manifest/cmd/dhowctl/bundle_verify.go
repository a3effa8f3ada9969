package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/trust"
)

// maxRoot is the size in bytes up to which a root document is read.
const maxRoot = 1 << 20

// verified is the answer of bundle verify --json.
type verified struct {
	Bundle      string         `json:"bundle"`
	Fleet       string         `json:"fleet"`
	Manifest    int64          `json:"manifest"`
	Expires     time.Time      `json:"expires"`
	Fingerprint string         `json:"fingerprint"`
	Since       string         `json:"since,omitempty"` // only sites that have this release can use it
	Releases    []verifiedPart `json:"releases"`
	Parts       *verifiedParts `json:"parts,omitempty"`
	Warnings    []string       `json:"warnings"`
}

// verifiedParts are the files of a bundle in parts.
type verifiedParts struct {
	Count  int      `json:"count"`
	Parity int      `json:"parity"`
	Wrong  []string `json:"wrong"` // missing or damaged; parity makes up for them
}

type verifiedPart struct {
	Release  string `json:"release"`
	Platform string `json:"platform"`
	Bytes    int64  `json:"bytes"`
}

func (a *app) bundleVerify() *cobra.Command {
	var root string
	var asJSON bool
	c := a.command("verify FILE", "Read a bundle to its last byte and compare it with what was signed", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			v, err := a.verify(ctx, args[0], root)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(v)
			}
			a.printf("Bundle %s is good: fleet %s, manifest %d (expires %s), root fingerprint %s.\n",
				v.Bundle, v.Fleet, v.Manifest, v.Expires.Format(time.DateOnly), v.Fingerprint)
			for _, p := range v.Releases {
				complete := "complete"
				if v.Since != "" {
					complete += " for sites that have " + v.Since
				}
				a.printf("release   %s for %s: %s, %s\n", p.Release, p.Platform, complete, author.SizeText(p.Bytes))
			}
			if v.Parts != nil {
				a.printf("parts     %s\n", strings.TrimPrefix(partsText(v.Parts.Count, v.Parts.Parity), " in "))
			}
			for _, w := range v.Warnings {
				a.printf("warning   %s\n", w)
			}
			return nil
		})
	c.Flags().StringVar(&root, "root", "", "root document to trust (default: that of the fleet repository)")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (a *app) verify(ctx context.Context, file, rootFile string) (*verified, error) {
	root, err := a.rootOfTrust(rootFile)
	if err != nil {
		return nil, err
	}
	src, err := fetch.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	v := &verified{Bundle: file, Releases: []verifiedPart{}, Warnings: []string{}}
	if v.Fingerprint, err = trust.Fingerprint(root); err != nil {
		return nil, err
	}
	client, err := trust.Scratch(root, trust.Options{Now: a.now})
	if err != nil {
		return nil, err
	}
	m, err := client.Refresh(ctx, src, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	v.Fleet, v.Manifest, v.Expires = m.Fleet.Name, m.Number, m.Expires
	v.Warnings = append(v.Warnings, m.Warnings...)
	err = a.verifyReleases(ctx, v, src, client, m)
	if err := fetch.VerifyParts(ctx, src, err); err != nil {
		return nil, err
	}
	if parts := fetch.InParts(src); parts != nil {
		sums := parts.Sums()
		v.Parts = &verifiedParts{Count: len(sums.Parts), Parity: len(sums.Parity), Wrong: parts.Wrong()}
		v.Warnings = append(v.Warnings, parts.Problems()...)
	}
	return v, nil
}

// verifyReleases reads the releases that the bundle says it holds.
func (a *app) verifyReleases(ctx context.Context, v *verified, src bundle.Source, client *trust.Client, m *trust.Manifest) error {
	versions := m.Releases
	var since *manifest.Release
	if hint, err := bundle.ReadHint(ctx, src); err == nil {
		versions = hint.Releases
		if v.Since = hint.Since; hint.Since != "" {
			if since, _, err = client.Release(ctx, src, hint.Since); err != nil {
				return fmt.Errorf("%s: %w", v.Bundle, err)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, version := range versions {
		release, _, err := client.Release(ctx, src, version)
		if err != nil {
			return fmt.Errorf("%s: %w", v.Bundle, err)
		}
		var ways *manifest.Ways
		if since != nil {
			ways, err = client.Ways(ctx, src, version)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %w", v.Bundle, err)
			}
		}
		if err := a.verifyRelease(ctx, v, src, release, since, ways); err != nil {
			return err
		}
	}
	return nil
}

// verifyRelease reads the bytes of a release for every platform; a bundle may hold fewer than the release, but not none. Of a bundle that
// leaves out what another release has, what that has not is read.
func (a *app) verifyRelease(
	ctx context.Context, v *verified, src bundle.Source, r, since *manifest.Release, ways *manifest.Ways,
) error {
	complete := false
	var incomplete error
	for _, platform := range r.Platforms() {
		wants, err := fetch.Wants(nil, r, platform)
		if since != nil {
			wants, err = fetch.WantsSince(r, since, ways, platform)
		}
		if err != nil {
			return err
		}
		show, end := progress(a.err, "reading")
		err = fetch.Verify(ctx, src, wants, show)
		end()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			incomplete = err
		case err != nil:
			return err
		default:
			complete = true
			v.Releases = append(v.Releases, verifiedPart{Release: r.Version, Platform: platform, Bytes: fetch.Size(wants)})
		}
	}
	if !complete {
		return fail(api.CodeNotTrusted, fmt.Sprintf("release %s is incomplete: %v", r.Version, incomplete),
			"make the bundle again, or copy it again")
	}
	return nil
}

// rootOfTrust reads the root document that a bundle is compared with.
func (a *app) rootOfTrust(file string) ([]byte, error) {
	if file == "" {
		file = filepath.Join(a.fleet, "metadata", "1.root.json")
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fail(api.CodeUsage, "cannot read the root of trust: "+strings.TrimPrefix(err.Error(), "stat "),
			"name it with --root root.json, or the fleet repository with -C")
	}
	if info.Size() > maxRoot {
		return nil, fail(api.CodeUsage, file+" is too large for a root document", "")
	}
	return os.ReadFile(file)
}
