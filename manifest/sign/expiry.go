package sign

import (
	"time"

	"dhow/manifest/trust"
)

// Expiry is something that comes to an end soon, or has.
type Expiry struct {
	Text string // a sentence
	Root bool   // it is the root: publishing does not help
}

// Expiries says which of the newest root, and of what was signed last, come to an end within 90, 30 or 7 days.
func (r *Repository) Expiries(now time.Time) ([]Expiry, error) {
	s, err := r.signed()
	if err != nil {
		return nil, err
	}
	var all []Expiry
	add := func(text string, root bool) {
		if text != "" {
			all = append(all, Expiry{text, root})
		}
	}
	add(trust.ExpiryWarning("the fleet's root", s.root.Signed.Expires, now), true)
	if s.timestamp != nil {
		add(trust.ExpiryWarning("the signed list of releases", s.targets.Signed.Expires, now), false)
		add(trust.ExpiryWarning("the snapshot of the signed list", s.snapshot.Signed.Expires, now), false)
		add(trust.FreshnessWarning("the manifest's date of signing", s.timestamp.Signed.Expires, now), false)
	}
	return all, nil
}
