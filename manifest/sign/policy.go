package sign

import (
	"slices"
	"time"

	"filippo.io/age"
	"github.com/robfig/cron/v3"
	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

func (d *decoder) policy(n *yaml.Node, p *manifest.Policy) {
	d.mapping(n, "policy", map[string]func(*yaml.Node){
		"fetch": func(n *yaml.Node) { p.Fetch = d.schedule(n, "fetch", "*/30 * * * *", false) },
		"window": func(n *yaml.Node) {
			p.Window = d.text(n)
			f := manifest.Fleet{Format: manifest.FleetFormat, Name: "x", Policy: manifest.Policy{Window: p.Window}}
			if f.Validate() != nil {
				d.fail(n, "window: %q is not like 21:00-05:00", p.Window)
			}
		},
		"timeZone": func(n *yaml.Node) {
			p.TimeZone = d.text(n)
			if _, err := time.LoadLocation(p.TimeZone); err != nil {
				d.fail(n, "timeZone: %q is not known", p.TimeZone)
			}
		},
		"rate": func(n *yaml.Node) {
			p.Rate = d.text(n)
			if _, err := manifest.ParseRate(p.Rate); err != nil && p.Rate != "" {
				d.fail(n, "rate: %v", err)
			}
		},
		"quiet": func(n *yaml.Node) {
			p.Quiet = d.text(n)
			if _, err := manifest.ParseQuiet(p.Quiet); err != nil {
				d.fail(n, "quiet: %v", err)
			}
		},
		"budget": func(n *yaml.Node) {
			d.mapping(n, "budget", map[string]func(*yaml.Node){
				"day":   func(n *yaml.Node) { p.Budget.Day = d.size(n, "day") },
				"month": func(n *yaml.Node) { p.Budget.Month = d.size(n, "month") },
			})
		},
		"keep": func(n *yaml.Node) {
			if p.Keep = d.number(n, 0); p.Keep < 2 {
				d.fail(n, "keep: at least 2 snapshots must be kept")
			}
		},
		"backup":    func(n *yaml.Node) { d.backup(n, &p.Backup) },
		"languages": func(n *yaml.Node) { p.Languages = d.languages(n) },
		"contact": func(n *yaml.Node) {
			p.Contact = d.text(n)
			d.fits(n, "contact", manifest.Fleet{Policy: manifest.Policy{Contact: p.Contact}}, 500)
		},
		"backupKey": func(n *yaml.Node) {
			p.BackupKey = d.text(n)
			if _, err := age.ParseX25519Recipient(p.BackupKey); err != nil && p.BackupKey != "" {
				d.fail(n, "backupKey: %q is not the key that dhowctl key backup has made", p.BackupKey)
			}
		},
	})
}

// schedule reads five fields of cron, and "never" where that makes sense.
func (d *decoder) schedule(n *yaml.Node, what, like string, never bool) string {
	s := d.text(n)
	if s == "" || never && s == "never" {
		return s
	}
	if _, err := cron.ParseStandard(s); err == nil {
		if Shortest(s) < time.Minute {
			d.fail(n, "%s: %q comes round more than once a minute", what, s)
		}
		return s
	}
	if never {
		like += "\" or \"never"
	}
	d.fail(n, "%s: %q is not a schedule such as \"%s\"", what, s, like)
	return s
}

// Shortest is the shortest time between two of the next times of a schedule, an hour where there is none that is shorter.
func Shortest(schedule string) time.Duration {
	shortest := time.Hour
	s, err := cron.ParseStandard(schedule)
	if err != nil {
		return shortest
	}
	at := s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for range 200 {
		next := s.Next(at)
		if next.IsZero() {
			break
		}
		shortest, at = min(shortest, next.Sub(at)), next
	}
	return shortest
}

// fits reports a text that a signed fleet can't have: f is a fleet of nothing else.
func (d *decoder) fits(n *yaml.Node, what string, f manifest.Fleet, limit int) {
	f.Format, f.Name = manifest.FleetFormat, "x"
	if f.Validate() != nil {
		d.fail(n, "%s: one line of at most %d bytes is expected, without control characters", what, limit)
	}
}

func (d *decoder) backup(n *yaml.Node, b *manifest.BackupPolicy) {
	d.mapping(n, "backup", map[string]func(*yaml.Node){
		"at":    func(n *yaml.Node) { b.At = d.schedule(n, "at", "0 2 * * *", true) },
		"drill": func(n *yaml.Node) { b.Drill = d.schedule(n, "drill", "0 3 1 * *", true) },
		"keep":  func(n *yaml.Node) { b.Keep = d.number(n, 1) },
		"days":  func(n *yaml.Node) { b.Days = d.number(n, 1) },
		"space": func(n *yaml.Node) { b.Space = d.size(n, "space") },
	})
}

// size reads an amount of bytes.
func (d *decoder) size(n *yaml.Node, what string) string {
	s := d.text(n)
	if _, err := manifest.ParseSize(s); err != nil && s != "" {
		d.fail(n, "%s: %v", what, err)
	}
	return s
}

// languages reads a list of language codes.
func (d *decoder) languages(n *yaml.Node) (list []string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "languages: a list such as [fr, en] is expected here")
		return nil
	}
	for _, item := range n.Content {
		code := d.text(item)
		f := manifest.Fleet{Format: manifest.FleetFormat, Name: "x", Policy: manifest.Policy{Languages: []string{code}}}
		switch {
		case f.Validate() != nil:
			d.fail(item, "languages: %q is not a code such as fr or pt-BR", code)
		case slices.Contains(list, code):
			d.fail(item, "languages: %q stands here twice", code)
		}
		list = append(list, code)
	}
	return list
}

func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}
