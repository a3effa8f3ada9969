package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// plan decides what this site should run and what is missing for it.
func (m *Manager) plan(ctx context.Context, t *change.Task) error {
	var p fetchPlan
	var refreshed refreshNote
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	if _, err := t.Change.ReadNote("refresh-manifest", &refreshed); err != nil {
		return err
	}
	current, err := m.Trust.Current()
	if err != nil {
		return untrusted(err)
	}
	good, err := m.good()
	if err != nil {
		return err
	}
	if good != nil && current.Number < good.Manifest {
		return untrusted(fmt.Errorf("manifest %d is older than manifest %d, which this site has installed: %w",
			current.Number, good.Manifest, trust.ErrStale))
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil {
		f := &change.Failure{
			Class: change.ClassTrust, Code: api.CodeNotTrusted, Err: err,
			Hint: "check the site's name in " + m.Paths.Config() + "; the central team adds it with: dhowctl site add",
		}
		return f.In("not_assigned", "cause", err.Error(), "file", m.Paths.Config())
	}
	archive := ""
	if r := m.toRestore(good); r != nil {
		record, err := m.Archive.Read(r.Backup)
		if err != nil {
			return refuse("stop the agent and repeat: dhow install --restore", "the backup from which this computer is to begin can't be used: %w", err).In("begin_backup", "cause", err.Error())
		}
		// The data belong to the release that made them; what the manifest asks for comes after it.
		as.Pin, as.Hold, archive = record.Release, nil, r.Backup
	}
	if nothing, said := nothingToDo(as, good); nothing != "" {
		if refreshed.Unreachable != "" && p.Person {
			return noSource(refreshed)
		}
		bad, err := m.bad()
		if err != nil {
			return err
		}
		if err := t.Set(factBad, slices.DeleteFunc(bad, func(b Bad) bool { return b.Release != as.Pin })); err != nil {
			return err
		}
		return t.Save(targetNote{Nothing: nothing, Said: said})
	}
	return m.planRelease(ctx, t, p, refreshed, as, good, targetNote{Manifest: current.Number, Archive: archive})
}

// toRestore is the backup from which this computer is to begin, nil when there is none or it has begun.
func (m *Manager) toRestore(good *Good) *site.Restore {
	if good != nil {
		return nil
	}
	return m.config().Restore
}

func noSource(r refreshNote) error {
	f := &change.Failure{
		Class: change.ClassNetwork, Code: api.CodeUnreachable, Err: errors.New(r.Unreachable),
		Hint: "check the line, or use a stick: dhow update --from PATH",
	}
	return f.In("no_answer", "cause", r.Unreachable)
}

func nothingToDo(as manifest.Assignment, good *Good) (text string, said *api.Said) {
	switch {
	case as.Hold != nil:
		return "on hold: " + as.Hold.Reason, api.Say("hold", "reason", as.Hold.Reason)
	case as.Pin == "":
		return "no release is pinned for this site yet", api.Say("nothing_pinned")
	case good != nil && good.Release == as.Pin:
		return "up to date: " + good.Release + " is running", api.Say("up_to_date", "release", good.Release)
	}
	return "", nil
}

func (m *Manager) planRelease(
	ctx context.Context, t *change.Task, p fetchPlan, refreshed refreshNote, as manifest.Assignment, good *Good, target targetNote,
) error {
	if p.Release != "" && p.Release != as.Pin && target.Archive == "" {
		return refuse("look at the page again, and choose anew", "the central team asks for %s now, not for %s", as.Pin, p.Release).In("page.changed", "release", as.Pin, "shown", p.Release)
	}
	sources, err := m.sources(ctx, p)
	if err != nil && p.From != "" {
		return err
	}
	defer closeAll(sources)
	if p.From != "" {
		if err := madeForOthers(ctx, sources[0], as); err != nil {
			return err
		}
		if err := m.buildsOn(ctx, sources[0], good); err != nil {
			return err
		}
	}
	release, d, err := m.releaseFrom(ctx, sources, as.Pin)
	if err != nil {
		return m.explainMissing(ctx, sources, as, err)
	}
	bad, err := m.bad()
	if err != nil {
		return err
	}
	// A release that the manifest has turned away from in between may be tried again.
	wanted := slices.DeleteFunc(slices.Clone(bad), func(b Bad) bool { return b.Release != as.Pin })
	if err := t.Set(factBad, wanted); err != nil {
		return err
	}
	if b := findBad(bad, d); b != nil && !p.Retry {
		if p.Person && refreshed.Unreachable != "" {
			return noSource(refreshed)
		}
		if p.Person {
			return refuse("the central team can pin another release; dhow update --retry takes this one all the same", "%s", b.text()).In("bad_here", "cause", b.text())
		}
		return t.Save(targetNote{Nothing: b.text(), Said: b.said()})
	}
	if err := m.mayGoBack(ctx, sources, as, release, good); err != nil {
		return err
	}
	if good != nil && manifest.CompareVersions(release.Version, good.Release) > 0 {
		if err := release.Allows(good.Release); err != nil {
			return refuse("pin a release in between first", "%w", err).In("no_way", "cause", err.Error())
		}
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return err
	}
	if _, err := release.PlatformImages(platform); err != nil {
		return refuse("ask the central team for a release with images for "+platform, "%w", err).In("no_platform", "platform", platform, "cause", err.Error())
	}
	x, err := m.missingOf(ctx, release, platform, forDocuments(p, sources))
	if err != nil {
		return untrusted(err)
	}
	if p.Retry && p.Person { // also the deltas that did not fit
		clear(x.query.Refused)
		if err := t.Set(factRefused, nil); err != nil {
			return err
		}
	}
	if p.From != "" && fetch.Reach(sources[0]) == fetch.Local && sinceOf(ctx, sources[0]) == "" {
		x.query.Ways = nil // a stick that leaves out nothing gives layers as they are carried
	}
	_, bytes, disk := x.plan()
	if len(x.wants) > 0 {
		if err := m.checkNeeds([]need{{"release " + release.Version, m.Paths.Store(), disk}}); err != nil {
			return err
		}
	}
	ready, err := m.ready()
	if err != nil {
		return err
	}
	target.Release, target.Digest, target.Bytes, target.Disk = release.Version, d, bytes, disk
	target.Verified = ready != nil && ready.Digest == d && len(x.wants) == 0
	return t.Save(target)
}

// madeForOthers refuses a bundle that says itself that it is for another site or ring: somebody has mixed up the sticks.
func madeForOthers(ctx context.Context, src bundle.Source, as manifest.Assignment) error {
	hint, err := bundle.ReadHint(ctx, src)
	if err != nil {
		return nil // no hint, no say
	}
	who := hint.Others(as.Site, as.Ring)
	if who == "" {
		return nil
	}
	f := &change.Failure{
		Class: change.ClassTrust, Code: api.CodeNotTrusted,
		Err:  fmt.Errorf("%s was made for %s, not for %s", src.Name(), who, as.Site),
		Hint: "use the stick of this site, or ask the central team for one",
	}
	return f.In("made_for_others", "bundle", src.Name(), "others", who, "site", as.Site)
}

// releaseFrom returns a release document from the first source that has it, or from what was seen before.
func (m *Manager) releaseFrom(ctx context.Context, sources []bundle.Source, version string) (*manifest.Release, digest.Digest, error) {
	release, d, err := m.Trust.Release(ctx, nil, version)
	for _, src := range sources {
		if err == nil {
			break
		}
		release, d, err = m.Trust.Release(ctx, src, version)
	}
	return release, d, err
}

// explainMissing says what a stick was made for when it lacks the release that this site needs.
func (m *Manager) explainMissing(ctx context.Context, sources []bundle.Source, as manifest.Assignment, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, bundle.ErrNoMetadata) {
		return untrusted(err)
	}
	for _, src := range sources {
		hint, herr := bundle.ReadHint(ctx, src)
		if herr != nil {
			continue
		}
		who := ""
		switch {
		case hint.Site != "":
			who = " for site " + hint.Site
		case hint.Ring != "":
			who = " for ring " + hint.Ring
		}
		f := &change.Failure{
			Class: change.ClassTrust, Code: api.CodeNotTrusted,
			Err:  fmt.Errorf("%s was made%s and holds release %s; %s needs %s", src.Name(), who, strings.Join(hint.Releases, ", "), as.Site, as.Pin),
			Hint: "ask the central team for a bundle with release " + as.Pin,
		}
		return f.In("other_release", "bundle", src.Name(), "releases", strings.Join(hint.Releases, ", "), "site", as.Site, "pin", as.Pin)
	}
	return untrusted(fmt.Errorf("no source has release %s: %w", as.Pin, err))
}
