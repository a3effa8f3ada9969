package manifest

import "fmt"

// TakesBack reports whether a site may be told by a pin to go back to r, with the data as they are. left are the releases that it leaves
// behind: the one that it runs, and those between. Each must say that the release before it can run on its data ("rollback: keep"), and
// the database servers must be the same. A pin never takes data back: that is for people at the site. The error wraps ErrBack.
func (r *Release) TakesBack(left []*Release) error {
	for _, l := range left {
		if l.Rollback.Data != "keep" {
			return fmt.Errorf("%w from %s to %s: release %s says that an older one needs the data from before it (rollback: %s)",
				ErrBack, newest(left), r.Version, l.Version, l.Rollback.Data)
		}
		if same, why := SameServers(r, l); !same {
			return fmt.Errorf("%w from %s to %s: %s", ErrBack, newest(left), r.Version, why)
		}
	}
	return nil
}

func newest(list []*Release) (v string) {
	for _, r := range list {
		if v == "" || CompareVersions(r.Version, v) > 0 {
			v = r.Version
		}
	}
	return v
}

// Between returns those of versions that a site leaves when it goes back from one version to an older one, the one it comes from included.
func Between(versions []string, from, to string) (list []string) {
	for _, v := range versions {
		if CompareVersions(v, to) > 0 && CompareVersions(v, from) <= 0 {
			list = append(list, v)
		}
	}
	return list
}

// NotAllowedBack is the error for a pin on an older release that is not allowed by "downgrade: true" in fleet.yaml. It wraps ErrBack.
func NotAllowedBack(from, to string) error {
	return fmt.Errorf("%w from %s to %s: it does not say that it may", ErrBack, from, to)
}
