package main

import (
	"context"
	"errors"
	"time"

	"dhow/manifest/trust"
)

func checkManifest(_ context.Context, p *patient) []finding {
	if p.trustErr != nil {
		e := explain(trustError(p.trustErr))
		if errors.Is(p.trustErr, trust.ErrDamaged) {
			return said(isBad, "manifest.damaged", e.Message, "doctor.manifest.anew")
		}
		return failed(isBad, "manifest.unreadable", e)
	}
	current, err := p.trust.Current()
	if errors.Is(err, trust.ErrNothing) {
		return warn("doctor.manifest.none", "doctor.manifest.get")
	}
	if err != nil {
		return said(isBad, "manifest.bad", err.Error(), "doctor.tell")
	}
	now := p.trust.Time()
	if text := trust.FreshnessWarning("the manifest", current.Expires, now); text != "" {
		return said(expiring(current.Expires, now), "manifest.expires", text, "doctor.manifest.publish")
	}
	return good("doctor.manifest.good", "number", current.Number, "until", current.Expires.Format(time.DateOnly))
}

func checkRootExpiry(_ context.Context, p *patient) []finding {
	if p.trust == nil {
		return nil
	}
	current, err := p.trust.Current()
	if err != nil {
		return nil // the check of the manifest says so
	}
	now := p.trust.Time()
	if text := trust.ExpiryWarning("the fleet's root", current.Root, now); text != "" {
		return said(expiring(current.Root, now), "root.expires", text, "doctor.root.tell")
	}
	return good("doctor.root.good", "until", current.Root.Format(time.DateOnly))
}

// expiring is how bad it is that something ends at a moment.
func expiring(at, now time.Time) string {
	if now.After(at) {
		return isBad
	}
	return isWarning
}
