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
	Releases    []verifiedPart `json:"releases"`
	Warnings    []string       `json:"warnings"`
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
				a.printf("release   %s for %s: complete, %s\n", p.Release, p.Platform, author.SizeText(p.Bytes))
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
	versions := m.Releases
	if hint, err := bundle.ReadHint(ctx, src); err == nil {
		versions = hint.Releases
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, version := range versions {
		release, _, err := client.Release(ctx, src, version)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := a.verifyRelease(ctx, v, src, release); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// verifyRelease reads the bytes of a release for every platform; a bundle may hold fewer than the release, but not none.
func (a *app) verifyRelease(ctx context.Context, v *verified, src bundle.Source, r *manifest.Release) error {
	complete := false
	var incomplete error
	for _, platform := range r.Platforms() {
		wants, err := fetch.Wants(nil, r, platform)
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
