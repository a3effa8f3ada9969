package page

import (
	"slices"

	"dhow/agent/api"
)

// mended reports whether nothing must be seen to, or the worst of it by what a stick brings. Any other need stays the sentence of the page.
func (c *composer) mended() bool {
	return len(c.s.Needs) == 0 || slices.Contains([]string{api.NeedOffline, api.NeedManifest, api.NeedUnassigned, api.NeedExpired}, c.s.Needs[0].Kind)
}

func (c *composer) stick(o *api.Offer) {
	c.State, c.Title = stateStick, c.found(o)
	if note := plain(o.Note, longText); note != "" {
		c.line(c.Say.Say("page.news", "note", note))
	}
	c.away()
	others := 0
	for _, other := range c.s.Offers[1:] {
		if other.Kind == api.OfferInstall {
			others++
		}
	}
	if others > 0 {
		c.line(c.Say.Count("page.stick.more", others))
	}
	c.beside()
	c.install(o)
}

func (c *composer) found(o *api.Offer) string {
	return c.Say.Say("page.stick", "release", plain(o.Release, shortText))
}

func (c *composer) install(o *api.Offer) {
	if o.Label != "" {
		c.fact(c.Say.Say("page.stick.label", "label", plain(o.Label, shortText)))
	}
	c.Primary = &Button{ID: "install", Action: "update", Label: c.Say.Say("page.button.install"), Field: "from", Value: o.ID, Release: plain(o.Release, shortText)}
}

func (c *composer) looking(o *api.Offer) {
	c.State, c.Title, c.Refresh = stateStick, c.told(o), soon
	c.line(c.Say.Say("page.wait"))
	c.beside()
}

// told says why a stick is of no use here, or that it is being looked at.
func (c *composer) told(o *api.Offer) string { return c.Say.Map("offer."+o.Kind, harmless(o.Args)) }

// badStick tells of a stick of no use. What may be done without it stays.
func (c *composer) badStick(o *api.Offer) {
	c.State, c.Title = stateNeeds, c.told(o)
	c.line(c.Say.Say("page.stick.out"))
	if c.release() != "" {
		c.line(c.Say.Say("page.runs", "release", c.release()))
	}
	c.beside()
	if c.ready() {
		c.updateButtons()
	}
}

// besideNeed says what else there is while a person must see to something that is not as bad as that nothing works: the stick that is in, and an update
// that is ready. While the agent can't go on, or does not know how the release runs, that one is told of without its buttons.
func (c *composer) besideNeed(o *api.Offer) {
	switch {
	case o == nil:
	case o.Kind == api.OfferInstall:
		c.line(c.found(o))
		c.install(o)
	case o.Kind == api.OfferLooking:
		c.line(c.told(o))
		c.Refresh = soon
	default:
		c.line(c.told(o))
		c.line(c.Say.Say("page.stick.out"))
	}
	if !c.ready() {
		return
	}
	c.readyLines()
	if worst := c.s.Needs[0].Kind; c.Primary == nil && worst != api.NeedTrouble && worst != api.NeedUnknown {
		c.updateButtons()
	}
}
