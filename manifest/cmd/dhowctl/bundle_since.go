package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/sign"
)

// sinceRelease returns what a bundle leaves out, nil when that is nothing. Only ways that were signed count: sites know no others.
func sinceRelease(r *sign.Repository, signed *sign.Documents, version string) (*pack.Since, error) {
	if version == "" {
		return nil, nil
	}
	release, err := r.Release(version)
	if err != nil {
		return nil, err
	}
	if !signedRelease(signed, release.Version) {
		return nil, fail(api.CodeRefused, "release "+release.Version+" is not in the manifest that was signed last: no site has it", "")
	}
	s := &pack.Since{Release: release}
	for file, data := range signed.Files {
		_, name, ok := strings.Cut(path.Base(file), ".")
		if !ok || !strings.HasPrefix(file, "targets/ways/") || !strings.HasSuffix(name, ".json") {
			continue
		}
		w, err := manifest.ParseWays(data)
		if err != nil {
			return nil, err
		}
		s.Ways = append(s.Ways, w)
	}
	return s, nil
}

// checkSince refuses a bundle that no site could use.
func checkSince(r *manifest.Release, since *pack.Since, store *bundle.Store, platform string) error {
	base := since.Release.Version
	if r.Version == base {
		return fail(api.CodeRefused, "the bundle is to hold release "+base+" and leave out what that has",
			"name an older release with --since, or leave it away")
	}
	if err := r.Allows(base); err != nil {
		return fail(api.CodeRefused, err.Error(), "a site that runs "+base+" would not take it")
	}
	list, err := since.Blobs(store, r, platform)
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(list, store.Has)
	if len(gone) > 0 {
		return missingBytes(r.Version, len(gone), store)
	}
	return nil
}

// partsText is like " in 3 parts and 1 of parity"; it is empty for a bundle that is whole.
func partsText(parts, parity int) string {
	if parts == 0 {
		return ""
	}
	text := " in " + count(parts, "part")
	if parity > 0 {
		text += fmt.Sprintf(" and %d of parity", parity)
	}
	return text
}
