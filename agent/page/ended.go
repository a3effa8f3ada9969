package page

import (
	"dhow/agent/api"
	"dhow/agent/words"
)

func (c *composer) done(u *api.Update) {
	c.State, c.Title = stateDone, c.Say.Say("page.done", "release", plain(u.To, shortText))
	if note := plain(c.s.Note, longText); note != "" && c.s.Pinned == u.To {
		c.line(c.Say.Say("page.news", "note", note))
	}
	c.receipt(u)
	c.reported()
	c.beside()
	c.Primary = c.ok(u)
}

// beside says what else a person should know while he is told how an update ended, or of a stick: what he must see to, and when the next one comes.
func (c *composer) beside() {
	for _, n := range c.s.Needs {
		c.line(c.needText(n))
		c.line(c.Say.Say(c.s.Do(n)))
	}
	if c.ready() {
		c.readyLines()
	}
}

// readyLines say which release is ready, and when it is put in place.
func (c *composer) readyLines() {
	c.line(c.Say.Say("page.ready", "release", plain(c.s.Pinned, shortText)))
	c.planned()
}

// reported says what became of the report for the central team on a stick.
func (c *composer) reported() {
	for _, o := range c.s.Offers {
		if o.Report != "" {
			c.line(c.Say.Say("offer.report-" + o.Report))
			return
		}
	}
}

func (c *composer) failed(u *api.Update) {
	c.State = stateFailed
	switch {
	case u.From == "":
		c.Title = c.Say.Say("page.failed.new")
	case u.Result == api.ResultRefused:
		c.Title = c.Say.Say("page.failed.refused", "release", plain(u.From, shortText))
	default:
		c.Title = c.Say.Say("page.failed", "release", plain(u.From, shortText))
	}
	if u.From != "" && u.Result != api.ResultRefused {
		c.line(c.Say.Say("page.failed.text"))
	}
	c.help(u.Receipt)
	c.receipt(u)
	c.reported()
	c.beside()
	c.Primary = c.ok(u)
}

func (c *composer) ok(u *api.Update) *Button {
	return &Button{ID: "ok", Action: "seen", Label: c.Say.Say("page.button.ok"), Field: "note", Value: u.Receipt}
}

// receipt is what can be printed.
func (c *composer) receipt(u *api.Update) {
	row := func(key, value string) {
		if value = plain(value, longText); value != "" {
			c.Receipt = append(c.Receipt, Row{Name: c.Say.Say(key), Value: value})
		}
	}
	row("page.receipt.number", u.Receipt)
	row("page.receipt.site", c.s.Site)
	row("page.receipt.from", u.From)
	row("page.receipt.to", u.To)
	row("page.receipt.when", c.Say.DateAndYear(u.Finished, c.now))
	if u.DowntimeSeconds > 0 {
		row("page.receipt.away", c.Say.Span(seconds(u.DowntimeSeconds)))
	}
	row("page.receipt.backup", u.Backup)
}

// help says what to tell whom.
func (c *composer) help(code string) {
	c.codeLine(code)
	c.contact()
}

func (c *composer) codeLine(code string) {
	if code = plain(code, shortText); code != "" {
		c.Lines = append(c.Lines, words.Whole(c.Say.Say("page.code", "code", code), code))
	}
}

func (c *composer) contact() {
	if who := plain(c.s.Contact, longText); who != "" {
		c.Lines = append(c.Lines, words.Phones(c.Say.Say("page.call", "who", who)))
	}
}
