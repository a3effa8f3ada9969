package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

const releaseCreateHelp = `Make a release from compose files.

Images are pinned by digest, files that the compose files name go along, and every variable without a value in an --env-file
becomes a setting of the site: its value never comes here. A .env file is not read unless --env-file names it.

What can't be seen in a compose file may stand in it under x-dhow. Nothing of it is required:

  x-dhow:
    from: ">=1.0.0 <1.2.0"          # which releases may go here directly
    entry: [gateway]                # services whose ports are the doors (default: all that publish)
    databases:
      db: {engine: mariadb, databases: [openmrs]}   # or mysql, postgresql; also user, password_env; none: it is no database
    volumes:
      openmrs-cache: {backup: none}
    checks:
      - {name: login page, http: "http://gateway/openmrs/login.htm", status: 200, contains: OpenMRS, within: 15m}
      - {name: patients are there, sql: db, query: "select count(*) from openmrs.patient", at_least: previous}
    migrate:
      - {service: migrate, timeout: 2h}
    rollback: {data: restore}       # or keep: the old release can run on the new data
    notes: {en: "New malaria form", fr: "Nouveau formulaire paludisme"}`

func (a *app) releaseCreate() *cobra.Command {
	var o author.Options
	var images string
	var asJSON bool
	c := a.command("create VERSION -f compose.yaml", "Make a release from compose files", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			r, store, err := a.withStore()
			if err != nil {
				return err
			}
			o.Version, o.Fleet, o.Store, o.Now = args[0], r.Fleet().Fleet().Name, store, a.now()
			switch images {
			case "registry":
				o.Images = author.Registry{Progress: func(ref string) { status(a.err, "fetching "+ref) }}
			case "engine":
				o.Images = author.Engine{}
			default:
				o.Images = author.SaveFile{Path: images}
			}
			release, report, err := author.Create(ctx, o)
			status(a.err, "")
			if err != nil {
				return err
			}
			if err := r.AddRelease(release); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(report)
			}
			previous, err := before(r, release.Version)
			if err != nil {
				return err
			}
			a.printf("%sRelease %s written: %s.\n", report.Text(), release.Version, sizes(release, previous))
			return nil
		})
	c.Long = releaseCreateHelp
	f := c.Flags()
	f.StringArrayVarP(&o.Files, "file", "f", nil, "compose file; several are merged in order")
	f.StringArrayVar(&o.EnvFiles, "env-file", nil, "file with values that belong to the release; several are read in order")
	f.StringSliceVar(&o.Platforms, "platform", nil,
		"platforms, for example linux/amd64,linux/arm64 (default: what the images have, of several linux/amd64)")
	f.StringSliceVar(&o.Profiles, "profile", nil, "compose profiles that are active")
	f.StringVar(&o.Project, "project", "", "compose project name at the sites (default: that of the files, or of their folder)")
	f.StringVar(&images, "images", "registry", "where images come from: registry, engine, or a file of docker save")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	_ = c.MarkFlagRequired("file")
	return c
}

// before returns the newest release older than version, or nil.
func before(r *sign.Repository, version string) (*manifest.Release, error) {
	all, err := r.Releases()
	if err != nil {
		return nil, err
	}
	for _, v := range slices.Backward(all) {
		if manifest.CompareVersions(v, version) < 0 {
			return r.Release(v)
		}
	}
	return nil, nil
}

// sizes says how many bytes a site fetches for a release: from the one before, and from nothing.
func sizes(release, previous *manifest.Release) string {
	var parts []string
	platforms := release.Platforms()
	for _, p := range platforms {
		fresh, more := bytesFrom(release, nil, p), ""
		text := author.SizeText(fresh) + " to a new site"
		if previous != nil && slices.Contains(previous.Platforms(), p) {
			text = fmt.Sprintf("%s from %s (%s)", author.SizeText(bytesFrom(release, previous, p)), previous.Version, text)
		}
		if len(platforms) > 1 {
			more = " with " + p
		}
		parts = append(parts, text+more)
	}
	return strings.Join(parts, ", ")
}

// bytesFrom counts what a site of a platform lacks of a release when it has the other.
func bytesFrom(release, other *manifest.Release, platform string) (n int64) {
	has := map[digest.Digest]bool{}
	if other != nil {
		for d := range contents(other, platform) {
			has[d] = true
		}
	}
	for d, b := range contents(release, platform) {
		if !has[d] {
			n += b.Size
		}
	}
	return n
}

// contents lists what a site needs of a release, layers by their diff ID: however they are packed, they are fetched once.
func contents(r *manifest.Release, platform string) map[digest.Digest]manifest.Blob {
	all := map[digest.Digest]manifest.Blob{}
	for _, f := range r.Files {
		all[f.Digest] = f.Blob
	}
	images, err := r.PlatformImages(platform)
	if err != nil {
		return all // platform is one of the release's own
	}
	for _, i := range images {
		all[i.Config.Digest] = i.Config
		for _, l := range i.Layers {
			all[l.DiffID] = l.Blob
		}
	}
	return all
}
