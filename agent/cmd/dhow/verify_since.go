package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// verifySince checks a bundle that leaves out what another release has: that release must be here, and all that is new in the bundle.
func (s *shell) verifySince(ctx context.Context, client *trust.Client, src bundle.Source, release *manifest.Release, v *verified) error {
	base, _, err := client.Release(ctx, src, v.Since)
	if err != nil {
		return err
	}
	missing, err := s.missing(base, v.Platform)
	if err != nil {
		return err
	}
	if missing > 0 {
		return api.Fail(api.CodeRefused, "ask the central team for a full bundle, or for one since the release that runs here",
			"%s holds what is new since %s, and this site does not have that", v.Bundle, v.Since).In("since_missing", "bundle", v.Bundle, "since", v.Since)
	}
	ways, err := client.Ways(ctx, src, release.Version)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wants, err := fetch.WantsSince(release, base, ways, v.Platform)
	if err != nil {
		return api.Fail(api.CodeRefused, "ask the central team for a release for this computer", "%v", err).In("not_for_computer", "cause", err.Error())
	}
	v.Bytes = fetch.Size(wants)
	return fetch.Verify(ctx, src, wants, nil)
}

// missing counts what the store of this site lacks of a release.
func (s *shell) missing(release *manifest.Release, platform string) (int, error) {
	var store *bundle.Store // everything is missing
	if _, err := os.Stat(s.paths().Store()); err == nil {
		if store, err = bundle.OpenStore(s.paths().Store()); err != nil {
			return 0, err
		}
	}
	wants, err := fetch.Wants(store, release, platform)
	return len(wants), err
}
