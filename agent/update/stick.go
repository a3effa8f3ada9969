package update

import (
	"context"
	"fmt"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/bundle/fetch"
)

// buildsOn refuses a bundle that leaves out what another release has when this site does not have that: before anything of it is fetched.
func (m *Manager) buildsOn(ctx context.Context, src bundle.Source, good *Good) error {
	since := sinceOf(ctx, src)
	if since == "" || good != nil && good.Release == since || m.has(ctx, since) {
		return nil
	}
	here, advice := runsHere(good)
	f := &change.Failure{
		Class: change.ClassTrust, Code: api.CodeRefused,
		Err:  fmt.Errorf("%s holds what is new since %s, and here %s", src.Name(), since, here),
		Hint: advice,
	}
	return f.In("since_missing", "bundle", src.Name(), "since", since)
}

// runsHere says what runs at this site, and which bundle to ask for.
func runsHere(good *Good) (here, advice string) {
	advice = "ask the central team for a full bundle"
	switch {
	case good == nil:
		return "no release runs yet", advice
	case good.Digest == "":
		return "a stack runs that was taken over", advice
	}
	return good.Release + " runs", advice + ", or for one since " + good.Release
}

// has reports whether all bytes of a release are in the store.
func (m *Manager) has(ctx context.Context, version string) bool {
	release, _, err := m.Trust.CachedRelease(version)
	if err != nil {
		return false
	}
	platform, err := m.platform(ctx)
	if err != nil {
		return false
	}
	missing, err := fetch.Wants(m.Store, release, platform)
	return err == nil && len(missing) == 0
}

// madeUpFor says which parts of bundles are wrong although reading them went well.
func (m *Manager) madeUpFor(sources []bundle.Source) (told []string) {
	for _, src := range sources {
		if parts := fetch.InParts(src); parts != nil {
			told = append(told, parts.Problems()...)
		}
	}
	for _, text := range told {
		m.Log.Warn("a bundle in parts is not whole", "what", text)
	}
	return told
}
