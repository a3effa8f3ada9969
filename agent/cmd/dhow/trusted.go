package main

import (
	"errors"
	"log/slog"
	"time"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/update"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// openTrust opens the trusted metadata for the agent. What was lost with a failing disk is begun anew from what the journal remembers: the
// site then waits for a manifest that is not older than the one it had, and needs nobody for that.
func openTrust(dir, site string, seen update.Witness, log *slog.Logger) (*trust.Client, error) {
	o := trust.Options{Now: fault.Now, Floor: later(buildTime(), seen.Signed), Seen: seen.Number, Site: site}
	client, err := trust.Open(dir, o)
	lost := errors.Is(err, trust.ErrDamaged) || errors.Is(err, trust.ErrNoRoot)
	if err == nil && seen.Number > 0 {
		_, cerr := client.Current()
		lost = errors.Is(cerr, trust.ErrNothing)
	}
	if !lost {
		return client, err
	}
	log.Error("the trusted metadata are lost and are begun anew", "manifest", seen.Number, "error", err)
	if rerr := trust.Restore(dir, seen.Roots); rerr != nil {
		if err == nil {
			err = rerr
		}
		return nil, api.Fail(api.CodeNotTrusted, "install again with the root file and its fingerprint: dhow install --root FILE --fingerprint DIGITS",
			"cannot find out whom this site trusts: %v", err).In("trust_lost", "cause", err.Error())
	}
	return trust.Open(dir, o)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// newNetwork is a network for a computer that trusts nothing yet: all that is certain of the time is that this program has been built.
func newNetwork() *fetch.Network {
	return fetch.NewNetwork().WithClock(func() (now, floor time.Time, wrong bool) {
		c := trust.Clock{Now: fault.Now(), Floor: buildTime()}
		return c.Now, c.Floor, c.Wrong()
	})
}

// clockOf is the clock by which servers are judged.
func clockOf(t *trust.Client) fetch.Clock {
	return func() (now, floor time.Time, wrong bool) {
		c := t.Clock()
		return c.Now, c.Floor, c.Wrong()
	}
}
