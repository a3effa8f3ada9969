package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/engine"
	"dhow/agent/site"
	"dhow/agent/update"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// explainSite adds what the manifest asks of this site, what the journal says, and what the engine really runs.
func (s *shell) explainSite(ctx context.Context, e *explanation, client *trust.Client, config *site.Config, m *trust.Manifest) {
	pin := ""
	if m != nil {
		pin, _ = explainPin(e, m, config.Site)
	}
	known, err := s.client().KnownGood(ctx)
	switch {
	case err != nil:
		e.add(stepUnknown, "known good", "%v", s.hinted(api.AsError(err)))
		e.code = api.Code(err)
		if pin == "" {
			return
		}
		known = api.KnownGood{Release: pin} // the next best: what should be running
	case known.Release == "":
		e.add(stepWarning, "known good", "nothing was installed here yet")
		return
	default:
		text := known.Release + ", since " + known.Since.Format("2006-01-02 15:04Z")
		if known.Manifest > 0 {
			text += fmt.Sprintf(", as manifest %d asked", known.Manifest)
		}
		state := stepGood
		switch {
		case known.Busy:
			state, text = stepWarning, text+"; an update is under way"
		case pin != "" && pin != known.Release:
			state, text = stepWarning, text+"; "+pin+" is still to come"
		}
		e.add(state, "known good", "%s", text)
	}
	if known.Adopted {
		e.add(stepWarning, "release", "the stack was taken over as it ran: no signed release describes it")
		return
	}
	if release := explainRelease(e, client, m, known); release != nil {
		explainEngine(ctx, e, config, known, release)
	}
}

// explainRelease holds the document of the running release against the journal and the manifest.
func explainRelease(e *explanation, client *trust.Client, m *trust.Manifest, known api.KnownGood) *manifest.Release {
	if m != nil {
		release, d, err := client.Release(context.Background(), nil, known.Release)
		if err == nil && (known.Digest == "" || known.Digest == d.String()) {
			e.add(stepGood, "release", "%s, document %s, as manifest %d lists it", release.Version, d, m.Number)
			return release
		}
		if err == nil {
			e.add(stepBroken, "release", "the journal has installed the document %s of release %s, and manifest %d lists %s", known.Digest, known.Release, m.Number, d)
			return nil
		}
	}
	release, d, err := client.CachedRelease(known.Release)
	switch {
	case err != nil:
		e.add(stepBroken, "release", "%v", err)
		return nil
	case known.Digest != "" && known.Digest != d.String():
		e.add(stepBroken, "release", "the journal has installed the document %s of release %s, and %s is here", known.Digest, known.Release, d)
		return nil
	}
	e.add(stepWarning, "release", "%s, document %s: verified when it came; the present manifest does not list it", release.Version, d)
	return release
}

// expected is an image of a release at this site.
type expected struct {
	ref, tag, config string
	services         []string
	containers       int
}

// explainEngine compares the containers of the stack, and the names that the next start goes by, with the release.
func explainEngine(ctx context.Context, e *explanation, config *site.Config, known api.KnownGood, release *manifest.Release) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	docker, err := connect(config)
	var info engine.Info
	if err == nil {
		info, err = docker.Info(ctx)
	}
	if err != nil {
		e.add(stepBroken, "engine", "%v", err)
		return
	}
	images, err := release.PlatformImages(info.Platform)
	if err != nil {
		e.add(stepBroken, "images", "%v", err)
		return
	}
	var want []expected
	for n, image := range images {
		ref := release.Images[n].Ref
		want = append(want, expected{
			ref: ref, tag: update.LocalTag(ref, image.Config.Digest), config: image.Config.Digest.String(), services: release.Images[n].Services,
		})
	}
	project := known.Project
	if project == "" {
		if project = config.Project; project == "" {
			project = release.Project
		}
	}
	containers, err := docker.Containers(ctx, project)
	if err != nil {
		e.add(stepBroken, "containers", "%v", err)
		return
	}
	differs := stepBroken
	if known.Busy {
		differs = stepWarning
	}
	for _, c := range containers {
		n := slices.IndexFunc(want, func(w expected) bool { return slices.Contains(w.services, c.Service) })
		switch {
		case n < 0:
			e.add(differs, "container", "%s is not of the release: service %s runs %s", c.Name, c.Service, imageText(c.Image))
		case want[n].config != c.Image:
			e.add(differs, "container", "%s runs %s, and the release has %s for service %s", c.Name, imageText(c.Image), want[n].config, c.Service)
		default:
			want[n].containers++
			e.add(stepGood, "container", "%s (%s) runs %s", c.Name, c.State, c.Image)
		}
	}
	for _, w := range want {
		tagged, err := docker.Tagged(ctx, w.tag)
		switch {
		case err != nil:
			e.add(stepBroken, "image", "%s: %v", w.tag, err)
		case tagged.String() != w.config && tagged != "":
			e.add(differs, "image", "the name %s leads to %s, not to %s: somebody has moved it", w.tag, tagged, w.config)
		case tagged == "":
			e.add(stepWarning, "image", "the name %s is gone; the agent puts it back when it next needs it", w.tag)
		case w.containers == 0:
			e.add(stepWarning, "image", "%s, %s: no container of %s is there", w.ref, w.config, strings.Join(w.services, ", "))
		default:
			e.add(stepGood, "image", "%s is %s, as the release says", w.ref, w.config)
		}
	}
}

func imageText(id string) string {
	if id == "" {
		return "an image that the engine no longer has"
	}
	return id
}
