package main

import (
	"context"

	"github.com/spf13/cobra"

	"dhow/manifest"
	"dhow/manifest/author"
)

const releaseCreateHelp = `Make a release from compose files.

Images are pinned by digest, files that the compose files name go along, and every variable without a value in an --env-file
becomes a setting of the site: its value never comes here. A .env file is not read unless --env-file names it.

What sites fetch is made small: deltas from the two releases before, or from those that --deltas-from names, and whole layers for new
sites. Every delta was applied, and gave the layer, before it counts. That takes minutes for large images; an interrupted command is
repeated, and goes on where it was.

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

// jsonCreated is what release create --json prints.
type jsonCreated struct {
	*author.Report
	From map[string]map[string]int64 `json:"from"` // by platform and by the release that a site has: how many bytes it fetches
}

func (a *app) releaseCreate() *cobra.Command {
	var o author.Options
	var images string
	var asJSON, none bool
	var named, mirrors []string
	c := a.command("create VERSION -f compose.yaml", "Make a release from compose files", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			r, store, err := a.withStore()
			if err != nil {
				return err
			}
			o.Version, o.Fleet, o.Store, o.Now = args[0], r.Fleet().Fleet().Name, store, a.now()
			switch images {
			case "registry":
				from := author.Registry{Progress: func(ref string) { status(a.err, "fetching "+ref) }}
				if from.Mirrors, err = parseMirrors(mirrors); err != nil {
					return err
				}
				o.Images = from
			case "engine":
				o.Images = author.Engine{}
			default:
				o.Images = author.SaveFile{Path: images}
			}
			var from []string
			if version, err := manifest.ParseVersion(o.Version); err == nil { // what is no version is refused below
				if from, err = deltasFrom(r, version, named, none); err != nil {
					return err
				}
			}
			release, report, err := author.Create(ctx, o)
			status(a.err, "")
			if err != nil {
				return err
			}
			if err := r.AddRelease(release); err != nil {
				return err
			}
			if !none {
				warnings, err := a.makeWays(ctx, r, store, release, from)
				if err != nil {
					return err
				}
				report.Warnings = append(report.Warnings, warnings...)
			}
			previous, err := before(r, release.Version, 1)
			if err != nil {
				return err
			}
			return withCosts(r, func(c costs) error {
				if asJSON {
					from, err := c.tell(report, release, previous)
					if err != nil {
						return err
					}
					return a.printJSON(jsonCreated{report, from})
				}
				text, err := c.text(release, previous...)
				if err != nil {
					return err
				}
				a.printf("%sRelease %s written: %s.\n", report.Text(), release.Version, text)
				return nil
			})
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
	f.StringArrayVar(&mirrors, "mirror", nil, "what gives bytes in place of a registry, for example docker.io=registry.local:5000")
	f.StringSliceVar(&named, "deltas-from", nil, "releases that sites come from, for example 1.0.0,0.9.0 (default: the two before)")
	f.BoolVar(&none, "no-deltas", false, "make nothing smaller now; publish does so")
	c.MarkFlagsMutuallyExclusive("deltas-from", "no-deltas")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	_ = c.MarkFlagRequired("file")
	return c
}
