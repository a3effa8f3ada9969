package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// part is a release for a platform.
type part struct {
	release  *manifest.Release
	platform string
	wants    []fetch.Want // everything that the bundle holds of it
}

// plan lists what is to be there, and says how much of it is.
func (t *town) plan(releases []*manifest.Release) ([]part, error) {
	var parts []part
	for _, r := range releases {
		platforms := r.Platforms()
		if t.platform != "" {
			platforms = []string{t.platform}
		}
		for _, p := range platforms {
			wants, err := t.wants(r, p)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part{r, p, wants})
			if !slices.Contains(t.result.Platforms, p) {
				t.result.Platforms = append(t.result.Platforms, p)
			}
		}
	}
	for _, p := range parts {
		total, missing := fetch.Size(p.wants), t.missing(p.wants)
		s, text := t.shell, ""
		if who := t.who(); who == "" {
			text = s.say("cli.town.release", "release", p.release.Version, "platform", p.platform, "size", s.words.Size(total))
		} else {
			text = s.say("cli.town.release_for", "release", p.release.Version, "names", who, "platform", p.platform, "size", s.words.Size(total))
		}
		if here := total - missing; here > 0 && missing > 0 {
			text = s.words.List([]string{text, s.say("cli.town.some_here", "size", s.words.Size(here))})
		} else if missing == 0 {
			text = s.words.List([]string{text, s.say("cli.town.all_here")})
		}
		s.column(s.say("cli.label.release"), text)
	}
	return parts, nil
}

// wants is everything of a release that the bundle is to hold.
func (t *town) wants(r *manifest.Release, platform string) ([]fetch.Want, error) {
	if t.base == nil {
		return fetch.Wants(nil, r, platform)
	}
	var ways *manifest.Ways
	for _, w := range t.base.Ways {
		if w.Version == r.Version {
			ways = w
		}
	}
	return fetch.WantsSince(r, t.base.Release, ways, platform)
}

// missing is how many bytes of wants are not here yet.
func (t *town) missing(wants []fetch.Want) (n int64) {
	for _, w := range wants {
		if !w.In(t.store) {
			n += max(0, w.Size()-t.store.PartialSize(w.Forms[0]))
		}
	}
	return n
}

// bring fetches what is missing, and unpacks every image once, as the engine at the site will.
func (t *town) bring(ctx context.Context, parts []part) error {
	var wants []fetch.Want
	seen := map[digest.Digest]bool{}
	for _, p := range parts {
		for _, w := range p.wants {
			if !seen[w.Forms[0].Digest] {
				seen[w.Forms[0].Digest] = true
				wants = append(wants, w)
			}
		}
	}
	if err := roomFor(t.cache, t.missing(wants)); err != nil {
		return err
	}
	began, show := time.Now(), t.shell.newMeter(t.shell.say("cli.label.fetching"))
	moved, err := fetch.Blobs(ctx, t.store, t.sources, wants, fetch.Options{Rate: t.perSecond, Progress: show.set})
	show.end()
	t.result.Fetched = moved.Bytes
	if err != nil {
		return err
	}
	if moved.Bytes > 0 {
		s := t.shell
		s.column(s.say("cli.label.fetched"), s.say("cli.town.fetched", "size", s.words.Size(moved.Bytes), "span", s.words.Span(time.Since(began))))
	}
	for _, p := range parts {
		if t.base != nil { // no image is whole
			continue
		}
		images, err := p.release.PlatformImages(p.platform)
		if err != nil {
			return err
		}
		for _, image := range images {
			if err := t.store.VerifyImage(ctx, image); err != nil {
				return err
			}
		}
	}
	return nil
}

// roomFor refuses before anything is written.
func roomFor(dir string, need int64) error {
	free, err := site.Free(dir)
	if err != nil || free >= need {
		return nil // who can't tell tries
	}
	return api.Fail(api.CodeRefused, "make room, or name another place", "%s needs %s, and %s are free", dir, size(need), size(free)).
		In("town_room", "folder", dir, "needed", size(need), "needed_bytes", strconv.FormatInt(need, 10), "free", size(free), "free_bytes", strconv.FormatInt(free, 10))
}

// write makes the bundle and reads it back.
func (t *town) write(ctx context.Context, m *trust.Manifest, releases []*manifest.Release, parts []part) error {
	docs, err := t.papers(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		t.result.Bytes += fetch.Size(p.wants)
	}
	if err := roomFor(filepath.Dir(filepath.Clean(t.out)), t.result.Bytes); err != nil {
		return err
	}
	sum, err := pack.Write(ctx, t.out, pack.Contents{
		Documents: docs, Releases: releases, Store: t.store, Platform: t.platform, AsHere: true, Since: t.base, Hint: t.hint(m.Fleet.Name, fault.Now()),
	})
	if err != nil {
		return err
	}
	t.result.Bundle, t.result.Bytes = t.out, sum.Bytes
	t.result.Warnings = append(t.result.Warnings, sum.Warnings...)
	for _, w := range sum.Warnings {
		t.shell.column(t.shell.say("cli.label.warning"), w)
	}
	if err := t.readBack(ctx, parts); err != nil {
		return fmt.Errorf("the bundle was written, and can't be read back: %w", err)
	}
	s := t.shell
	s.column(s.say("cli.label.bundle"), s.say("cli.town.bundle", "bundle", t.out, "size", s.words.Size(sum.Bytes)))
	s.sayln("cli.town.at_the_site", "command", "dhow update --from "+filepath.Base(strings.TrimRight(t.out, string(os.PathSeparator))))
	return nil
}

// readBack compares the bundle on the stick with what is signed, as a site does.
func (t *town) readBack(ctx context.Context, parts []part) error {
	src, err := fetch.Open(ctx, t.out)
	if err != nil {
		return err
	}
	defer src.Close()
	client, err := trust.Scratch(t.client.Roots()[0], trust.Options{Now: fault.Now, Floor: buildTime()})
	if err != nil {
		return err
	}
	if _, err := client.Refresh(ctx, src, true); err != nil {
		return err
	}
	var wants []fetch.Want
	for _, p := range parts {
		if _, _, err := client.Release(ctx, src, p.release.Version); err != nil {
			return err
		}
		wants = append(wants, p.wants...)
	}
	show := t.shell.newMeter(t.shell.say("cli.label.reading"))
	defer show.end()
	return fetch.Verify(ctx, src, wants, show.set)
}
