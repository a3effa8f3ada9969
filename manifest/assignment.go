package manifest

import (
	"fmt"
	"time"
)

// Assignment is what one site must run. Pin is empty while nothing is assigned. With a Hold the site stays where it is.
type Assignment struct {
	Site string
	Ring string
	Pin  string
	Hold *Hold
}

// Assignment returns what the site must run: its own pin, or else that of its ring. The error wraps ErrUnknownSite.
func (f *Fleet) Assignment(site string) (Assignment, error) {
	s, ok := f.Sites[site]
	if !ok {
		return Assignment{}, fmt.Errorf("%w: %.80q is not a site of fleet %s", ErrUnknownSite, site, f.Name)
	}
	a := Assignment{Site: site, Ring: s.Ring, Pin: s.Pin, Hold: s.Hold}
	if a.Pin == "" {
		a.Pin = f.Rings[s.Ring].Pin
	}
	return a, nil
}

// Validate reports the first rule that f breaks.
func (f *Fleet) Validate() error {
	c := checker{what: "fleet " + quoted(f.Name)}
	c.must(checkFormat(f.Format, FleetFormat))
	c.must(CheckName(f.Name))
	c.count("rings", len(f.Rings), 10_000)
	c.count("sites", len(f.Sites), 200_000)
	f.Policy.check(&c)
	for _, name := range sorted(f.Rings) {
		ring := f.Rings[name]
		c.at("ring %s", quoted(name))
		c.must(CheckName(name))
		c.version("pin", ring.Pin, true)
	}
	for _, name := range sorted(f.Sites) {
		site := f.Sites[name]
		c.at("site %s", quoted(name))
		c.must(CheckName(name))
		c.version("pin", site.Pin, true)
		if _, ok := f.Rings[site.Ring]; !ok {
			c.fail("there is no ring %s", quoted(site.Ring))
		}
		if site.Hold != nil {
			c.text("the reason of the hold", site.Hold.Reason, 1000, true)
		}
	}
	return c.err
}

func (p Policy) check(c *checker) {
	c.at("policy")
	c.text("fetch", p.Fetch, 200, true)
	c.text("timeZone", p.TimeZone, 100, true)
	c.text("contact", p.Contact, 500, true)
	if p.BackupKey != "" && !backupKeyPattern.MatchString(p.BackupKey) {
		c.fail("backupKey %s is not an age public key", quoted(p.BackupKey))
	}
	if p.Keep != 0 && (p.Keep < 2 || p.Keep > 1000) {
		c.fail("keep is %d; it must be at least 2", p.Keep)
	}
	if p.Window == "" {
		return
	}
	if len(p.Window) != 11 || p.Window[5] != '-' || !clock(p.Window[:5]) || !clock(p.Window[6:]) {
		c.fail("window %s is not like 21:00-05:00", quoted(p.Window))
	}
}

func clock(s string) bool {
	_, err := time.Parse("15:04", s)
	return err == nil
}
