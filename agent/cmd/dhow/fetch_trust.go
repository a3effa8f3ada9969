package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/durable"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// Folders of the cache of dhow fetch.
const (
	cacheTrust = "trust"
	cacheStore = "store"
)

// openCache finds the root of trust, and opens what was fetched before. release lets the next one in.
func (t *town) openCache(ctx context.Context) (release func(), err error) {
	if err := t.chooseCache(); err != nil {
		return nil, err
	}
	dir := filepath.Join(t.cache, cacheTrust)
	in := installation{root: t.root, fingerprint: t.fingerprint, yes: t.yes}
	if there, err := readRoot(filepath.Join(dir, "root.json")); err == nil && in.root != "" {
		if given, err := readRoot(in.root); err == nil && trust.SameRoot(there, given) {
			in.root = "" // it was confirmed before
		}
	}
	root, err := t.shell.checkRoot(ctx, dir, &site.Config{Sources: t.from}, in)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(t.cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the cache: %w", err)
	}
	unlock, err := site.Lock(filepath.Join(t.cache, "lock"))
	if err != nil {
		return nil, err
	}
	if err := t.open(dir, root); err != nil {
		_ = unlock()
		return nil, err
	}
	return func() { _ = unlock() }, nil
}

func (t *town) open(dir string, root []byte) (err error) {
	if root != nil {
		if err := trust.Init(dir, root); err != nil {
			return err
		}
	}
	// For all sites: the parts of a large fleet are small, and the next stick may be for another one.
	if t.client, err = trust.Open(dir, trust.Options{Now: fault.Now, Floor: buildTime()}); err != nil {
		return err
	}
	t.store, err = bundle.OpenStore(filepath.Join(t.cache, cacheStore))
	return err
}

// chooseCache takes one for each fleet unless a folder is named.
func (t *town) chooseCache() (err error) {
	if t.cache != "" {
		return nil
	}
	print := t.fingerprint
	switch {
	case print != "":
		if print, err = trust.ReadFingerprint(print); err != nil {
			return api.Fail(api.CodeUsage, "the central team reads it from: dhowctl root show", "--fingerprint: %v", err).In("fingerprint_bad", "cause", err.Error())
		}
	case t.root == "":
		return api.Fail(api.CodeUsage, "see: dhow fetch --help", "the fleet's root of trust is missing: --root FILE, or --fingerprint DIGITS").In("root_missing")
	default:
		root, err := readRoot(t.root)
		if err != nil {
			return api.Fail(api.CodeUsage, rootHint, "cannot read the root of trust: %v", err).In("root_unreadable", "cause", err.Error())
		}
		if print, err = trust.Fingerprint(root); err != nil {
			return api.Fail(api.CodeNotTrusted, rootHint, "%s: %v", t.root, err).In("root_wrong", "file", t.root, "cause", err.Error())
		}
	}
	t.cache, err = defaultCache(print)
	return err
}

// refresh brings the newest manifest. While no source answers, what was fetched before counts: the bundle can still be written.
func (t *town) refresh(ctx context.Context) (*trust.Manifest, error) {
	network := fetch.NewNetwork().WithClock(clockOf(t.client))
	var err error
	if t.sources, err = network.OpenAll(ctx, t.from); err != nil {
		return nil, err
	}
	var worst error
	for _, src := range fetch.FarFirst(t.sources) {
		m, err := t.client.Refresh(ctx, src, !strings.Contains(src.Name(), "://"))
		if err == nil {
			t.result.Warnings = m.Warnings
			for _, w := range m.Warnings {
				t.shell.column(t.shell.say("cli.label.warning"), w)
			}
			s := t.shell
			s.column(s.say("cli.label.manifest"), s.say("cli.town.manifest", "number", m.Number, "fleet", m.Fleet.Name, "day", m.Expires.Format(time.DateOnly)))
			return m, nil
		}
		if worst == nil || errors.Is(worst, bundle.ErrUnreachable) {
			worst = fmt.Errorf("%s: %w", src.Name(), err)
		}
	}
	return nil, worst
}

// documents brings the documents of releases, of the one that the sites have, and of the ways to them.
func (t *town) documents(ctx context.Context, versions []string) (releases []*manifest.Release, err error) {
	if t.since != "" {
		r, err := t.document(ctx, t.since)
		if err != nil {
			return nil, err
		}
		t.base = &pack.Since{Release: r}
	}
	for _, v := range versions {
		r, err := t.document(ctx, v)
		if err != nil {
			return nil, err
		}
		releases = append(releases, r)
		ways := (*manifest.Ways)(nil)
		for _, src := range fetch.FarFirst(t.sources) {
			if ways, err = t.client.Ways(ctx, src, v); err == nil || ctx.Err() != nil {
				break // without them the layers are carried as the images have them
			}
		}
		if t.base == nil {
			continue
		}
		if err := r.Allows(t.since); err != nil || v == t.since {
			return nil, api.Fail(api.CodeRefused, "name another release with --since, or leave it away",
				"a site that runs %s would not take a bundle with release %s and without what that has", t.since, v).
				In("since_wrong", "since", t.since, "release", v)
		}
		if ways != nil {
			t.base.Ways = append(t.base.Ways, ways)
		}
	}
	return releases, ctx.Err()
}

func (t *town) document(ctx context.Context, version string) (*manifest.Release, error) {
	r, _, err := t.client.Release(ctx, nil, version)
	for _, src := range fetch.FarFirst(t.sources) {
		if err == nil || errors.Is(err, trust.ErrUnknownRelease) {
			break
		}
		r, _, err = t.client.Release(ctx, src, version)
	}
	return r, err
}

// papers are all documents for the bundle. A root that is older than the one given is for sites that were installed with it.
func (t *town) papers(ctx context.Context) (map[string][]byte, error) {
	all, err := t.client.Documents()
	if err != nil {
		return nil, err
	}
	first := t.client.Roots()[0]
	for _, src := range t.sources {
		chain, err := trust.SourceRoots(ctx, src)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() != nil {
			return nil, err
		}
		for n, root := range chain {
			if !trust.SameRoot(root, first) {
				continue
			}
			for i := range chain[:n] {
				all[bundle.RootPath(int64(i+1))] = chain[i]
			}
			return all, nil
		}
	}
	return all, nil
}
