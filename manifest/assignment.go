package manifest

import (
	"fmt"
	"maps"
	"time"
)

// maxFleetSettings bounds the settings of one ring or site.
const maxFleetSettings = 1000

// Assignment is what one site must run. Pin is empty while nothing is assigned. With a Hold the site stays where it is.
type Assignment struct {
	Site      string
	Ring      string
	Pin       string
	Asked     string // what fleet.yaml says in place of Pin, see Ring
	Downgrade bool   // the site may go back to Pin from a newer release
	Hold      *Hold
	Settings  map[string]string // those of the ring, with those of the site laid over them
	// Agent is the version of dhow itself, empty for whatever the site has; AgentDowngrade allows an older one.
	Agent          string
	AgentDowngrade bool
}

// Assignment returns what the site must run: its own pin, or else that of its ring. The error wraps ErrUnknownSite.
func (f *Fleet) Assignment(site string) (Assignment, error) {
	s, ok := f.Sites[site]
	if !ok {
		return Assignment{}, fmt.Errorf("%w: %.80q is not a site of fleet %s", ErrUnknownSite, site, f.Name)
	}
	ring := f.Rings[s.Ring]
	a := Assignment{Site: site, Ring: s.Ring, Pin: s.Pin, Asked: s.Asked, Downgrade: s.Downgrade, Hold: s.Hold, Settings: ring.Settings}
	if s.Pin == "" && s.Asked == "" {
		a.Pin, a.Asked, a.Downgrade = ring.Pin, ring.Asked, ring.Downgrade
	}
	if a.Agent, a.AgentDowngrade = f.Agent, f.AgentDowngrade; ring.Agent != "" {
		a.Agent, a.AgentDowngrade = ring.Agent, ring.AgentDowngrade
	}
	if len(s.Settings) > 0 {
		a.Settings = map[string]string{}
		maps.Copy(a.Settings, ring.Settings)
		maps.Copy(a.Settings, s.Settings)
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
	c.place = ""
	checkAgent(&c, f.Agent, f.AgentDowngrade)
	for _, name := range sorted(f.Rings) {
		ring := f.Rings[name]
		c.at("ring %s", quoted(name))
		c.must(CheckName(name))
		checkPin(&c, ring.Pin, ring.Asked, ring.Downgrade)
		checkAgent(&c, ring.Agent, ring.AgentDowngrade)
		checkSettings(&c, ring.Settings)
	}
	for _, name := range sorted(f.Sites) {
		site := f.Sites[name]
		c.at("site %s", quoted(name))
		c.must(CheckName(name))
		checkPin(&c, site.Pin, site.Asked, site.Downgrade)
		checkSettings(&c, site.Settings)
		if _, ok := f.Rings[site.Ring]; !ok {
			c.fail("there is no ring %s", quoted(site.Ring))
		}
		if site.Hold != nil {
			c.text("the reason of the hold", site.Hold.Reason, 1000, true)
		}
	}
	return c.err
}

// checkPin sees to it that sites are told exact versions only, whatever was asked for.
func checkPin(c *checker, pin, asked string, downgrade bool) {
	c.version("pin", pin, true)
	if asked != "" {
		if exact, _, err := ParsePin(asked); err != nil || exact != "" {
			c.fail("asked %s is not a line or previous", quoted(asked))
		}
	}
	if pin == "" && (asked != "" || downgrade) {
		c.fail("there is no pin for what is asked or allowed")
	}
}

func checkAgent(c *checker, version string, downgrade bool) {
	c.version("agent", version, true)
	if version == "" && downgrade {
		c.fail("there is no agent that sites may go back to")
	}
}

// checkSettings bounds the values of settings: they are kept in a file with a line for each.
func checkSettings(c *checker, settings map[string]string) {
	c.count("settings", len(settings), maxFleetSettings)
	for _, name := range sorted(settings) {
		c.variable(name)
		c.text("the value of "+quoted(name), settings[name], 4000, true)
	}
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
	if _, err := ParseRate(p.Rate); err != nil && p.Rate != "" {
		c.fail("rate: %w", err)
	}
	if _, err := ParseQuiet(p.Quiet); err != nil {
		c.fail("quiet: %w", err)
	}
	for what, amount := range map[string]string{"day": p.Budget.Day, "month": p.Budget.Month} {
		if _, err := ParseSize(amount); err != nil && amount != "" {
			c.fail("budget: %s: %w", what, err)
		}
	}
	c.text("backup: at", p.Backup.At, 200, true)
	c.text("backup: drill", p.Backup.Drill, 200, true)
	if p.Backup.Keep < 0 || p.Backup.Keep > 100_000 || p.Backup.Days < 0 || p.Backup.Days > 100_000 {
		c.fail("backup: keep and days are whole numbers from 1 on")
	}
	if _, err := ParseSize(p.Backup.Space); err != nil && p.Backup.Space != "" {
		c.fail("backup: space: %w", err)
	}
	c.count("languages", len(p.Languages), 100)
	for _, l := range p.Languages {
		if !languagePattern.MatchString(l) {
			c.fail("%s is not a language code", quoted(l))
		}
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
