package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dhow/manifest"
	"dhow/manifest/author"
	"dhow/manifest/sign"
)

func (a *app) releaseShow() *cobra.Command {
	var asJSON bool
	c := a.command("show VERSION", "Show what a release holds", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		r, err := a.repository()
		if err != nil {
			return err
		}
		release, err := r.Release(args[0])
		if err != nil {
			return err
		}
		ways, err := r.Ways(release.Version)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(jsonRelease{release, ways})
		}
		older, err := before(r, release.Version, sign.KeepBefore)
		if err != nil {
			return err
		}
		return withCosts(r, func(c costs) error {
			text, err := c.text(release, older...)
			if err == nil {
				a.show(release, ways, text)
			}
			return err
		})
	})
	c.Flags().BoolVar(&asJSON, "json", false, "the release document itself, with the ways to it")
	return c
}

// jsonRelease is what release show --json prints.
type jsonRelease struct {
	*manifest.Release
	Ways *manifest.Ways `json:"ways,omitempty"`
}

// show prints a release; size says how many bytes it takes to get there.
func (a *app) show(r *manifest.Release, ways *manifest.Ways, size string) {
	line := func(label string, items ...string) {
		for _, item := range items {
			a.printf("%-10s%s\n", label, item)
			label = ""
		}
	}
	line("release", r.Version+" of fleet "+r.Fleet+", project "+r.Project+", made "+r.Created.Format(time.DateOnly))
	if r.From != "" {
		line("from", r.From)
	}
	line("size", size)
	if ways != nil {
		line("ways", ways.Text()+": "+waysText(ways))
	}
	var images, ports, volumes, settings, files, databases, checks []string
	for _, i := range r.Images {
		for _, p := range i.Platforms {
			images = append(images, strings.Join(i.Services, ", ")+"  "+i.Ref+"  "+p.Platform+"  "+p.Config.Digest.String())
		}
	}
	for _, p := range r.Ports {
		ports = append(ports, p.Published+" → "+p.Service)
	}
	for _, v := range r.Volumes {
		text := v.Name + " (" + strings.Join(v.Services, ", ") + ")"
		if v.Backup == "none" {
			text += ", not backed up"
		}
		volumes = append(volumes, text)
	}
	for _, d := range r.Databases {
		databases = append(databases, d.Service+": "+d.Engine+", user "+d.User)
	}
	for _, s := range r.Settings {
		text := s.Name
		if s.Required {
			text += " (required)"
		}
		settings = append(settings, text)
	}
	for _, c := range r.Checks {
		checks = append(checks, c.Name)
	}
	for _, f := range r.Files {
		files = append(files, f.Path+"  "+author.SizeText(f.Size))
	}
	line("images", images...)
	line("ports", ports...)
	line("volumes", volumes...)
	line("databases", databases...)
	line("variables", sorted(r.Variables)...)
	line("settings", settings...)
	line("files", files...)
	line("checks", checks...)
	line("rollback", "data: "+r.Rollback.Data)
	for _, language := range sorted(r.Notes) {
		line("notes", language+": "+r.Notes[language])
	}
}
