package audit

import "dhow/manifest"

// Compare says what one fleet with its releases changes against another, nil for none, as the entries of a history do.
func Compare(old, now *manifest.Fleet, oldReleases, nowReleases []string) []Change {
	known := func(versions []string) map[string]string {
		m := map[string]string{}
		for _, v := range versions {
			m[v] = "" // a release never changes
		}
		return m
	}
	changes := diff(&state{releases: known(oldReleases), fleet: old}, &state{releases: known(nowReleases), fleet: now}, Options{})
	if changes == nil {
		changes = []Change{}
	}
	return changes
}
