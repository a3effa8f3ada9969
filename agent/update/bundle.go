package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// bundlePlan is what a bundle for neighbours is about.
type bundlePlan struct {
	To       string   `json:"to"`
	Releases []string `json:"releases,omitempty"` // empty: what runs, and what waits
}

// bundleNote is what was found out before anything is written. Path is where the bundle stands.
type bundleNote struct {
	api.Bundle
	Platform string `json:"platform"`
}

// Bundle begins to write a bundle for neighbours.
func (m *Manager) Bundle(_ context.Context, req api.BundleRequest) (api.Started, error) {
	if !filepath.IsAbs(req.To) {
		return api.Started{}, api.Fail(api.CodeUsage, "see: dhow bundle export --help", "%q is not the path of a file or folder", req.To)
	}
	if inside(req.To, m.Paths.State()) {
		return api.Started{}, api.Fail(api.CodeUsage, "name a stick", "%s belongs to dhow", m.Paths.State()).In("own_folder", "folder", m.Paths.State())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(order{}); err != nil {
		return api.Started{}, err
	}
	c, err := m.runner.Start(KindBundle, bundlePlan{To: req.To, Releases: req.Releases}, nil)
	if err != nil {
		return api.Started{}, err
	}
	m.poke()
	return api.Started{Change: c.ID}, nil
}

// writeBundle writes the releases that are here, in the forms in which they are here.
func (m *Manager) writeBundle(ctx context.Context, t *change.Task) error {
	var p bundlePlan
	if err := t.Change.ReadPlan(&p); err != nil {
		return err
	}
	current, err := m.Trust.Current()
	if err != nil {
		return untrusted(err)
	}
	note := bundleNote{}
	if note.Platform, err = m.platform(ctx); err != nil {
		return err
	}
	releases, err := m.shared(ctx, p, current, &note)
	if err != nil {
		return err
	}
	docs, err := m.sharedDocuments(ctx, current, &note)
	if err != nil {
		return untrusted(err)
	}
	note.Warnings = append(note.Warnings, notFor(current.Fleet, note.Releases)...)
	note.Path = bundlePath(p.To, current.Fleet.Name, note.Releases)
	if err := t.Save(note); err != nil {
		return err
	}
	sum, err := pack.Write(ctx, note.Path, pack.Contents{
		Documents: docs, Releases: releases, Store: m.Store, Platform: note.Platform, AsHere: true,
		Hint: bundle.Hint{Fleet: current.Fleet.Name, Made: m.stamp()}, Progress: progressOf(t),
	})
	if err != nil {
		return stickTrouble(err)
	}
	note.Bytes = sum.Bytes
	return t.Save(note)
}

// shared are the releases of which everything is here for computers like this one.
func (m *Manager) shared(ctx context.Context, p bundlePlan, current *trust.Manifest, note *bundleNote) (list []*manifest.Release, err error) {
	versions := p.Releases
	if len(versions) == 0 {
		good, err := m.good()
		if err != nil {
			return nil, err
		}
		if good != nil && good.Digest != "" {
			versions = append(versions, good.Release)
		}
		ready, err := m.ready()
		if err != nil {
			return nil, err
		}
		if ready != nil && !slices.Contains(versions, ready.Release) {
			versions = append(versions, ready.Release)
		}
	}
	for _, v := range versions {
		release, why, err := m.shareable(ctx, v, note.Platform)
		if err != nil {
			return nil, err
		}
		switch {
		case why == "":
			list = append(list, release)
			note.Releases = append(note.Releases, release.Version)
		case len(p.Releases) > 0:
			return nil, refuse("without --release it is what runs here, and what waits", "release %s can't be handed on: %s", v, why).In("not_handed_on", "release", v, "cause", why)
		default:
			note.Warnings = append(note.Warnings, fmt.Sprintf("release %s is left out: %s", v, why))
		}
	}
	if len(list) == 0 {
		return nil, refuse("fetch one first: dhow update", "no release is here that could be handed on: %s", strings.Join(note.Warnings, "; ")).In("nothing_to_hand_on", "cause", strings.Join(note.Warnings, "; "))
	}
	manifest.SortVersions(note.Releases)
	return list, nil
}

// shareable returns a release, or says why it can't be handed on.
func (m *Manager) shareable(ctx context.Context, version, platform string) (r *manifest.Release, why string, err error) {
	r, _, err = m.Trust.Release(ctx, nil, version)
	switch {
	case errors.Is(err, trust.ErrUnknownRelease):
		return nil, "the manifest does not list it", nil
	case errors.Is(err, trust.ErrNothing):
		return nil, "it was never fetched here", nil
	case err != nil:
		return nil, "", untrusted(err)
	}
	wants, err := fetch.Wants(m.Store, r, platform)
	if errors.Is(err, manifest.ErrPlatform) {
		return nil, err.Error(), nil
	}
	if err == nil && len(wants) > 0 {
		why = fmt.Sprintf("%s of it are not here", amountText(fetch.Size(wants)))
	}
	return r, why, err
}

// partsTime is how long the sources may take to give what other sites of a large fleet need.
const partsTime = time.Minute

// sharedDocuments are the signed documents that are here, and of a large fleet the parts that concern others, when a source that may be used
// gives them now.
func (m *Manager) sharedDocuments(ctx context.Context, current *trust.Manifest, note *bundleNote) (map[string][]byte, error) {
	docs, err := m.Trust.Documents()
	if err != nil {
		return nil, err
	}
	missing, err := m.Trust.MissingParts()
	if err != nil || len(missing) == 0 {
		return docs, err
	}
	ctx, cancel := context.WithTimeout(ctx, partsTime)
	defer cancel()
	sources, _ := m.Network.OpenAll(ctx, m.config().Sources)
	defer closeAll(sources)
	left, why := 0, ""
	for _, b := range missing {
		near, held, err := m.allowed(sources, fetchPlan{})
		if err != nil {
			return nil, err
		}
		data := onePart(ctx, near, b)
		if data == nil {
			left++
			if held != nil {
				why = " (" + held.text + ")"
			}
			continue
		}
		docs[manifest.PartPath(b.Digest)] = data
	}
	if left > 0 {
		note.Warnings = append(note.Warnings, fmt.Sprintf(
			"%d parts of the list of sites are not here and no source gives them now%s: sites that stand in them can't use this bundle", left, why))
	}
	return docs, m.settleTally()
}

func onePart(ctx context.Context, sources []bundle.Source, b manifest.Blob) []byte {
	for _, src := range sources {
		if data, err := trust.FetchPart(ctx, src, b); err == nil {
			return data
		}
	}
	return nil
}

// notFor says which rings and sites, as far as they are known here, are pinned to something else.
func notFor(fleet *manifest.Fleet, versions []string) (list []string) {
	for _, name := range sortedNames(fleet.Rings) {
		if pin := fleet.Rings[name].Pin; pin != "" && !slices.Contains(versions, pin) {
			list = append(list, fmt.Sprintf("it is not for ring %s, which is pinned to %s", name, pin))
		}
	}
	for _, name := range sortedNames(fleet.Sites) {
		if s := fleet.Sites[name]; s.Pin != "" && !slices.Contains(versions, s.Pin) {
			list = append(list, fmt.Sprintf("it is not for site %s, which is pinned to %s", name, s.Pin))
		}
	}
	const most = 10
	if len(list) > most {
		list = append(list[:most:most], fmt.Sprintf("and not for %d others that are pinned to other releases", len(list)-most))
	}
	return list
}

func sortedNames[T any](named map[string]T) []string {
	var names []string
	for name := range named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// bundlePath is the path itself, or when that is a folder with other things in it, such as a stick, a file there.
func bundlePath(to, fleet string, versions []string) string {
	folder := strings.HasSuffix(to, string(filepath.Separator))
	to = filepath.Clean(to)
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) == 0 && folder {
		return to
	}
	for _, e := range entries {
		if e.Name() == bundle.MetadataDir || e.Name() == bundle.OCILayoutPath {
			return to
		}
	}
	return filepath.Join(to, fleet+"-"+versions[len(versions)-1]+".tar")
}

// stickTrouble is a failure to write or read the bundle: it says nothing of this site.
func stickTrouble(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	f := &change.Failure{Class: change.ClassSite, Code: api.CodeRefused, Err: err, Hint: "check the path, and whether the stick is plugged in and may be written to"}
	kind := "stick_trouble"
	switch {
	case errors.Is(err, syscall.ENOSPC):
		kind, f.Hint = "stick_full", "use a larger stick, or make room on it"
	case errors.Is(err, bundle.ErrDamaged):
		kind, f.Code, f.Hint = "stick_bad", api.CodeNotTrusted, "use another stick"
	}
	return f.In(kind, "cause", err.Error())
}

// readBundle reads back what was written, as a neighbour does.
func (m *Manager) readBundle(ctx context.Context, t *change.Task) error {
	var note bundleNote
	if _, err := t.Change.ReadNote(stepWriteBundle, &note); err != nil {
		return err
	}
	src, err := fetch.Open(ctx, note.Path)
	if err != nil {
		return stickTrouble(err)
	}
	defer src.Close()
	client, err := trust.Scratch(m.Trust.Roots()[0], trust.Options{Now: m.stamp, Site: m.Config.Site})
	if err != nil {
		return untrusted(err)
	}
	if _, err := client.Refresh(ctx, src, true); err != nil {
		return stickTrouble(err)
	}
	var wants []fetch.Want
	for _, v := range note.Releases {
		r, _, err := client.Release(ctx, src, v)
		if err != nil {
			return stickTrouble(err)
		}
		list, err := fetch.Wants(nil, r, note.Platform)
		if err != nil {
			return err
		}
		wants = append(wants, list...)
	}
	return stickTrouble(fetch.Verify(ctx, src, wants, progressOf(t)))
}

// endBundle says what was written.
func endBundle(c *change.Change, e *api.Event) error {
	var note bundleNote
	if _, err := c.ReadNote(stepWriteBundle, &note); err != nil {
		return err
	}
	e.Bundle = &note.Bundle
	e.Message = fmt.Sprintf("the bundle %s holds release %s (%s) and is read back; at the neighbour: dhow update --from %s",
		note.Path, strings.Join(note.Releases, ", "), amountText(note.Bytes), note.Path)
	e.Said = api.Say("bundle", "bundle", note.Path, "releases", strings.Join(note.Releases, ", "), "size", amountText(note.Bytes), "size_bytes", strconv.FormatInt(note.Bytes, 10))
	return nil
}
