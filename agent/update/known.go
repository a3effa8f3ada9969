package update

import (
	"context"

	"dhow/agent/api"
)

// KnownGood says what the journal remembers of the running release.
func (m *Manager) KnownGood(context.Context) (api.KnownGood, error) {
	good, err := m.good()
	if err != nil || good == nil {
		return api.KnownGood{}, err
	}
	c, err := m.unfinished()
	if err != nil {
		return api.KnownGood{}, err
	}
	return api.KnownGood{
		Release: good.Release, Digest: good.Digest.String(), Project: good.Project, Manifest: good.Manifest, Since: good.Since,
		Adopted: good.Digest == "", Busy: c != nil && c.Kind != KindFetch && !isErrand(c.Kind),
	}, nil
}
