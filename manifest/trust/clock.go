package trust

import (
	"errors"
	"fmt"
	"time"
)

// tolerance is by how much clocks may differ before one of them is called wrong: good ones differ by minutes.
const tolerance = time.Hour

// Clock is what a site knows of the present.
type Clock struct {
	Now time.Time // what the computer says
	// Floor is a moment that has certainly passed: the build of the program, or the newest signing time of a manifest that was
	// accepted. It never moves back, and nothing unsigned moves it. Zero when nothing is known.
	Floor time.Time
}

// Time is the moment that signatures are held against: the computer's clock, but never before the floor. A clock that fell back to
// 2010 so does not make an expired manifest good again.
func (c Clock) Time() time.Time {
	if c.Now.Before(c.Floor) {
		return c.Floor
	}
	return c.Now
}

// Wrong reports whether the computer's clock is certainly wrong: it is behind the floor. One that is ahead is never certain: see Ahead.
func (c Clock) Wrong() bool { return c.Floor.Sub(c.Now) > tolerance }

// Warning says that the clock is wrong, and is empty when it is not.
func (c Clock) Warning() string {
	if !c.Wrong() {
		return ""
	}
	return fmt.Sprintf("this computer's clock looks wrong: it says %s, but it is at least %s",
		c.Now.UTC().Format(time.DateOnly), c.Floor.UTC().Format(time.DateOnly))
}

// Ahead says that the clock looks wrong because the manifest, which is signed anew all the time, has expired by it. A site that nobody has
// reached for months looks the same, and the words leave that open. It is empty before the expiry.
func (c Clock) Ahead(expires time.Time) string {
	if c.Wrong() || c.Floor.IsZero() || !c.Now.After(expires) {
		return ""
	}
	return fmt.Sprintf("this computer's clock looks wrong, unless nothing new has come since %s: it says %s",
		c.Floor.UTC().Format(time.DateOnly), c.Now.UTC().Format(time.DateOnly))
}

// Doubt compares the clock with that of a server. Nobody has signed what that said: it is worth a word, and nothing else. It is empty
// when the two agree, when the clock is wrong without that, and when the server's is.
func (c Clock) Doubt(server string, said time.Time) string {
	if c.Wrong() || said.Sub(c.Now).Abs() <= tolerance || c.Floor.Sub(said) > tolerance {
		return ""
	}
	return fmt.Sprintf("this computer's clock looks wrong: it says %s, and %s says %s",
		c.Now.UTC().Format(minutes), server, said.UTC().Format(minutes))
}

const minutes = "2006-01-02 15:04 MST"

// Clock returns what is known of the present. It never waits, so that a source may ask while it is being read.
func (c *Client) Clock() Clock { return Clock{Now: c.opts.Now().UTC(), Floor: *c.floor.Load()} }

// Time is the Time of Clock.
func (c *Client) Time() time.Time { return c.Clock().Time() }

// raise moves the floor to what s knows.
func (c *Client) raise(s state) {
	floor := c.opts.Floor
	if s.Floor.After(floor) {
		floor = s.Floor
	}
	floor = floor.UTC()
	c.floor.Store(&floor)
}

// late adds to the refusal of an expired document what is needed to judge whether the document is old or the clock is ahead.
func (c *Client) late(err error) error {
	if !errors.Is(err, ErrExpired) {
		return err
	}
	clock := c.Clock()
	now, floor := clock.Now.Format(time.DateOnly), clock.Floor.Format(time.DateOnly)
	switch {
	case clock.Now.Before(clock.Floor):
		return fmt.Errorf("%w; it is at least %s", err, floor)
	case clock.Floor.IsZero():
		return fmt.Errorf("%w; by this computer's clock it is %s", err, now)
	}
	return fmt.Errorf("%w; by this computer's clock it is %s, by what was signed last at least %s: if the clock is ahead, set it",
		err, now, floor)
}

// expired is the refusal of a document; late says more.
func expired(what string, at time.Time) error {
	return fmt.Errorf("%s %w on %s", what, ErrExpired, at.Format(time.DateOnly))
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

// Notice is a warning, and what it is made of for other languages: its kind, and names and values by turns.
type Notice struct {
	Text, Kind string
	Args       []string
}

// Kinds of Notice. All of the clock have now, what it says; those of expiry have day.
const (
	NoticeClockWrong      = "clock"       // args: floor
	NoticeClockAhead      = "clock_ahead" // args: floor
	NoticeClockDoubt      = "clock_doubt" // args: server, said
	NoticeManifestExpires = "manifest_expires"
	NoticeManifestExpired = "manifest_expired"
	NoticeRootExpires     = "root_expires"
	NoticeRootExpired     = "root_expired"
)

// Notices are what the clock itself is warned of: Warning, and what Ahead says of a manifest that expires then.
func (c Clock) Notices(expires time.Time) (list []Notice) {
	args := []string{"now", c.Now.UTC().Format(time.DateOnly), "floor", c.Floor.UTC().Format(time.DateOnly)}
	if text := c.Warning(); text != "" {
		list = append(list, Notice{text, NoticeClockWrong, args})
	}
	if text := c.Ahead(expires); text != "" {
		list = append(list, Notice{text, NoticeClockAhead, args})
	}
	return list
}

// Doubts is Doubt as a Notice; nothing when there is none.
func (c Clock) Doubts(server string, said time.Time) []Notice {
	text := c.Doubt(server, said)
	if text == "" {
		return nil
	}
	return []Notice{{text, NoticeClockDoubt, []string{"now", c.Now.UTC().Format(minutes), "server", server, "said", said.UTC().Format(minutes)}}}
}

func (c *Client) notices(p *parsed) []Notice {
	clock := c.Clock()
	list := clock.Notices(p.expires())
	add := func(text, soon, ended string, at time.Time) {
		if text == "" {
			return
		}
		if at.Before(clock.Time()) {
			soon = ended
		}
		list = append(list, Notice{text + ": ask the central team for a newer one", soon, []string{"day", at.UTC().Format(time.DateOnly)}})
	}
	add(FreshnessWarning("the manifest", p.expires(), clock.Time()), NoticeManifestExpires, NoticeManifestExpired, p.expires())
	add(ExpiryWarning("the fleet's root", p.root.Signed.Expires, clock.Time()), NoticeRootExpires, NoticeRootExpired, p.root.Signed.Expires)
	return list
}
