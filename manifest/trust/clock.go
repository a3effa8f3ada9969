package trust

import (
	"fmt"
	"time"
)

// Time returns the moment that signatures are held against: the computer's clock, but never before a moment that has certainly
// passed (the build of the program, or the newest signing time of a manifest that was accepted). A clock that fell back to 2010
// so does not make an expired manifest good again.
func (c *Client) Time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reference()
}

func (c *Client) reference() time.Time {
	now := c.opts.Now().UTC()
	if floor := c.floor(); now.Before(floor) {
		return floor
	}
	return now
}

func (c *Client) floor() time.Time {
	if c.opts.Floor.After(c.state.Floor) {
		return c.opts.Floor.UTC()
	}
	return c.state.Floor.UTC()
}

// made returns the signing time that manifest/sign writes into timestamps; zero where there is none. It is capped by the expiry: a
// moment far ahead would make everything expired at once.
func made(fields map[string]any, expires time.Time) time.Time {
	text, _ := fields["made"].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.After(expires) {
		return time.Time{}
	}
	return at.UTC()
}

func (p *parsed) expires() time.Time {
	first := p.timestamp.Signed.Expires
	for _, at := range []time.Time{p.snapshot.Signed.Expires, p.targets.Signed.Expires} {
		if at.Before(first) {
			first = at
		}
	}
	return first
}

// Days before an expiry from which it is spoken of, in growing urgency.
const (
	farAhead = 90
	soon     = 30
	verySoon = 7
)

// ExpiryWarning says that what (such as "the fleet's root") has expired at the moment at, or does so within 90 days, more urgently
// within 30 and within 7. It is empty while there is time. It names no remedy: that differs between a site and the centre.
func ExpiryWarning(what string, at, now time.Time) string { return expiry(what, at, now, farAhead) }

// FreshnessWarning is ExpiryWarning for what lives 90 days or less, as a timestamp does: it speaks within 30 and 7 days only.
func FreshnessWarning(what string, at, now time.Time) string { return expiry(what, at, now, soon) }

func expiry(what string, at, now time.Time, from int) string {
	on := at.UTC().Format(time.DateOnly)
	left := at.Sub(now)
	days := int(left / (24 * time.Hour))
	in := fmt.Sprintf("in %d days", days)
	switch days {
	case 0:
		in = "in less than a day"
	case 1:
		in = "in 1 day"
	}
	within := func(days int) bool { return left <= time.Duration(days)*24*time.Hour }
	switch {
	case left < 0:
		return fmt.Sprintf("%s expired on %s", what, on)
	case !within(from):
		return ""
	case within(verySoon):
		return fmt.Sprintf("%s expires very soon: on %s, %s", what, on, in)
	case within(soon):
		return fmt.Sprintf("%s expires soon: on %s, %s", what, on, in)
	}
	return fmt.Sprintf("%s expires on %s, %s", what, on, in)
}

func (c *Client) warnings(p *parsed) []string {
	var w []string
	now, ref := c.opts.Now().UTC(), c.reference()
	// Clocks differ by minutes between good computers; an hour is not worth a word.
	if now.Add(time.Hour).Before(ref) {
		w = append(w, fmt.Sprintf("this computer's clock is wrong: it says %s, but it is at least %s",
			now.Format(time.DateOnly), ref.Format(time.DateOnly)))
	}
	if at := p.expires(); ref.After(at) {
		w = append(w, fmt.Sprintf("the manifest expired on %s: ask the central team for a newer one", at.Format(time.DateOnly)))
	}
	if at := p.root.Signed.Expires; ref.After(at) {
		w = append(w, fmt.Sprintf("the fleet's root expired on %s: ask the central team for a newer one", at.Format(time.DateOnly)))
	}
	return w
}
