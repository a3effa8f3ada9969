package page

import (
	"slices"
	"strconv"
	"time"

	"dhow/agent/api"
)

// composer fills a View from what the agent says.
type composer struct {
	*View
	s       api.Status
	running *api.Update
	now     time.Time
}

func (c *composer) release() string { return plain(c.s.Release, shortText) }

// state says the most important thing that there is to say: first what goes on, then what a person must do, then what one may do.
func (c *composer) state(note *api.Update) {
	urgent, offer, engine := c.urgent(), c.offer(), c.needOf(api.NeedEngine)
	if note != nil && offer != nil && offer.Found.After(note.Finished) {
		note = nil // a person has just brought something, and waits for an answer
	}
	switch {
	case c.s.State == api.StateStuck:
		c.stuck()
	case c.s.Changing() && engine != nil:
		c.held(*engine)
	case c.s.State == api.StateUndoing:
		c.undoing()
	case c.s.State == api.StateUpdating:
		c.working()
	case urgent != nil:
		c.need(*urgent)
	case note != nil && note.Result == api.ResultDone:
		c.done(note)
	case note != nil:
		c.failed(note)
	case offer != nil && offer.Kind == api.OfferInstall && c.mended():
		c.stick(offer)
	case offer != nil && offer.Kind == api.OfferLooking && c.mended():
		c.looking(offer)
	case len(c.s.Needs) > 0:
		c.need(c.s.Needs[0])
		c.besideNeed(offer)
	case offer != nil:
		c.badStick(offer)
	case c.ready():
		c.readyNow()
	case c.s.State == api.StateFetching && (c.s.Pinned != c.s.Release || c.s.Fetch != nil), c.s.Fetch != nil:
		c.fetching()
	case c.s.State == api.StateNew:
		c.nothing()
	case c.s.Paused != nil:
		c.paused()
	case c.doubt() != nil:
		c.need(*c.doubt())
	default:
		c.current()
	}
	c.facts()
}

// urgent is a need that comes before the news of an update that has ended and before a stick: nothing works until somebody sees to it.
func (c *composer) urgent() *api.Need {
	return c.needOf(api.NeedEngine, api.NeedConfig, api.NeedHealth)
}

// needOf is the worst need of some kinds, or nil.
func (c *composer) needOf(kinds ...string) *api.Need {
	for i, n := range c.s.Needs {
		if slices.Contains(kinds, n.Kind) {
			return &c.s.Needs[i]
		}
	}
	return nil
}

// doubt is why nobody may be told that all is well although the agent names no need: how the release runs, or what should run, is not known.
func (c *composer) doubt() *api.Need {
	switch {
	case c.s.Health != "healthy" && c.s.Health != "starting":
		return &api.Need{Kind: api.NeedUnknown, Args: map[string]string{"release": c.s.Release}}
	case c.s.Pinned == "" && c.s.Hold == "":
		return &api.Need{Kind: api.NeedManifest}
	}
	return nil
}

// ready reports whether a release can be put in place now.
func (c *composer) ready() bool { return c.s.State == api.StateReady }

// offer is the stick that matters most: one that may be installed stands first.
func (c *composer) offer() *api.Offer {
	if len(c.s.Offers) == 0 || c.s.Offers[0].Kind == api.OfferCurrent {
		return nil
	}
	return &c.s.Offers[0]
}

func (c *composer) stuck() {
	c.State, c.Title, c.Refresh = stateStuck, c.Say.Say("page.stuck"), soon
	c.line(c.Say.Say("page.stuck.text"))
	c.Strong = c.Say.Say("page.power")
	c.help(c.s.Code)
}

func (c *composer) undoing() {
	c.State, c.Title, c.Refresh = stateUndoing, c.doing(), soon
	c.line(c.Say.Say("page.undoing.text"))
	c.Strong = c.Say.Say("page.power")
	c.Bar = &Bar{Text: c.bytes()}
	c.codeLine(c.s.Code)
}

func (c *composer) working() {
	c.State, c.Refresh = stateWorking, soon
	c.Title = c.doing()
	c.fromTo()
	if c.s.LeftSeconds > 0 {
		c.line(c.Say.Say("page.left", "time", c.Say.Length(seconds(c.s.LeftSeconds))))
	}
	c.Strong = c.Say.Say("page.power")
	part := 0.0
	if c.s.Total > 0 {
		part = min(1, float64(c.s.Done)/float64(c.s.Total))
	}
	if c.s.StepCount > 0 {
		c.Bar = &Bar{Value: min(1000, int(1000*(float64(c.s.StepNumber-1)+part)/float64(c.s.StepCount))), Text: c.bytes(), Known: true}
	}
}

// held is an update that waits for the engine, which nobody would guess from its step.
func (c *composer) held(n api.Need) {
	c.need(n)
	if c.s.State == api.StateUndoing {
		c.line(c.Say.Say("page.undoing.text"))
	}
	c.line(c.doing())
	c.fromTo()
	c.codeLine(c.s.Code)
	c.Refresh = soon
}

func (c *composer) fromTo() {
	if u := c.running; u != nil && u.From != "" {
		c.line(c.Say.Say("page.fromto", "from", plain(u.From, shortText), "to", plain(u.To, shortText)))
	}
}

// doing is the step that is done, or undone.
func (c *composer) doing() string {
	step := plain(c.s.Step, shortText)
	if c.s.State == api.StateUndoing {
		return c.Say.Say("page.undoing", "step", c.Say.Undo(step), "n", c.s.StepNumber, "count", c.s.StepCount)
	}
	return c.Say.Say("page.working", "step", c.Say.Step(step, false), "n", c.s.StepNumber, "count", c.s.StepCount)
}

// bytes says how many of the step at work there are.
func (c *composer) bytes() string {
	if c.s.Total <= 0 || c.s.Done > c.s.Total {
		return ""
	}
	return c.Say.Of(c.s.Done, c.s.Total)
}

func (c *composer) need(n api.Need) {
	c.State, c.Title = stateNeeds, c.needText(n)
	c.line(c.Say.Say(c.s.Do(n)))
	if slices.Contains([]string{api.NeedEngine, api.NeedHealth, api.NeedConfig, api.NeedStuck}, n.Kind) {
		c.contact()
	}
	for _, other := range c.s.Needs {
		if other.Kind != n.Kind {
			c.line(c.needText(other))
		}
	}
}

func (c *composer) needText(n api.Need) string {
	return c.Say.Map("need."+n.Kind, harmless(n.Args))
}

// harmless are the arguments of a sentence as they may be shown.
func harmless(args map[string]string) map[string]string {
	out := make(map[string]string, len(args))
	for name, value := range args {
		out[name] = plain(value, longText)
	}
	return out
}

func (c *composer) readyNow() {
	c.State, c.Title, c.Refresh = stateReady, c.Say.Say("page.ready", "release", plain(c.s.Pinned, shortText)), awhile
	if note := plain(c.s.Note, longText); note != "" {
		c.line(c.Say.Say("page.news", "note", note))
	}
	c.planned()
	c.away()
	c.updateButtons()
}

// planned says when the release that is ready is put in place.
func (c *composer) planned() {
	switch at := c.s.NextApply; {
	case at == nil:
		c.line(c.Say.Say("page.ready.ask"))
	case at.After(c.now):
		c.line(c.Say.Say("page.ready.at", "when", c.Say.Moment(*at, c.now)))
	default:
		c.line(c.Say.Say("page.ready.soon"))
	}
}

// away says for how long the system is going to be away.
func (c *composer) away() {
	if c.s.UsualSeconds > 0 {
		c.line(c.Say.Say("page.away", "time", c.Say.Length(seconds(c.s.UsualSeconds))))
	}
}

func (c *composer) updateButtons() {
	c.Primary = &Button{ID: "now", Action: "update", Label: c.Say.Say("page.button.now"), Release: plain(c.s.Pinned, shortText)}
	if c.s.Later == nil {
		c.Secondary = &Button{ID: "later", Action: "later", Label: c.Say.Say("page.button.later")}
	}
}

func (c *composer) fetching() {
	c.State, c.Refresh = stateFetching, awhile
	f := c.s.Fetch
	if f == nil {
		c.Title, c.Bar, c.Refresh = c.Say.Say("page.looking"), &Bar{}, soon
		c.line(c.Say.Say("page.goon"))
		return
	}
	c.Title = c.Say.Say("page.fetching", "release", plain(f.Release, shortText))
	c.line(c.Say.Say("page.goon"))
	if f.Total > 0 && f.Done <= f.Total {
		c.Bar = &Bar{Value: int(1000 * float64(f.Done) / float64(f.Total)), Text: c.Say.Of(f.Done, f.Total), Known: true}
	}
	switch {
	case c.s.Paused != nil:
		c.State = statePaused
		c.line(c.pauseText())
	case f.Waits != "" && f.Until != nil && f.Until.After(c.now):
		c.line(c.Say.Say("page.waits.until", "when", c.Say.Moment(*f.Until, c.now)))
	case f.Waits != "":
		c.line(c.Say.Say("page.waits"))
	case f.SecondsLeft > 0:
		c.line(c.Say.Say("page.left", "time", c.Say.Length(seconds(f.SecondsLeft))))
	}
}

func (c *composer) pauseText() string {
	if until := c.s.Paused.Until; until != nil {
		return c.Say.Say("page.paused.until", "when", c.Say.Moment(*until, c.now))
	}
	return c.Say.Say("page.paused.text")
}

func (c *composer) paused() {
	c.State, c.Title = statePaused, c.Say.Say("page.paused")
	c.line(c.pauseText())
	c.line(c.Say.Say("page.runs", "release", c.release()))
}

func (c *composer) nothing() {
	c.State, c.Title, c.Refresh = stateNew, c.Say.Say("page.new"), awhile
	c.line(c.Say.Say("page.new.text"))
	c.contact()
}

func (c *composer) current() {
	c.State, c.Title = stateCurrent, c.Say.Say("page.current")
	switch {
	case c.s.Hold != "":
		c.Title = c.Say.Say("page.runs", "release", c.release())
		c.line(c.Say.Say("page.hold", "reason", plain(c.s.Hold, longText)))
		return
	case c.s.Pinned == c.s.Release:
		c.line(c.Say.Say("page.runs", "release", c.release()))
	case c.s.Bad != nil && c.s.Bad.ByHand:
		c.Title = c.Say.Say("page.runs", "release", c.release())
		c.line(c.Say.Say("page.left_alone", "release", plain(c.s.Bad.Release, shortText)))
	case c.s.Bad != nil:
		c.Title = c.Say.Say("page.runs", "release", c.release())
		c.line(c.Say.Say("page.bad", "release", plain(c.s.Bad.Release, shortText)))
	default:
		c.Title = c.Say.Say("page.runs", "release", c.release())
		c.line(c.Say.Say("page.tocome", "release", plain(c.s.Pinned, shortText)))
	}
	if len(c.s.Offers) > 0 && c.s.Offers[0].Kind == api.OfferCurrent {
		c.line(c.Say.Map("offer."+c.s.Offers[0].Kind, harmless(c.s.Offers[0].Args)))
		c.reported()
	}
	switch c.s.State {
	case api.StateBackup:
		c.line(c.Say.Say("page.backup"))
	case api.StateBundle:
		c.line(c.Say.Say("page.bundle"))
	}
}

// facts are the small print below: what a careful person looks for.
func (c *composer) facts() {
	if c.State != stateCurrent && c.State != statePaused && c.State != stateReady && c.State != stateFetching {
		return
	}
	if t := c.s.LastCheck; t != nil {
		c.fact(c.Say.Say("page.fact.checked", "when", c.Say.Moment(*t, c.now)))
	}
	if t := c.s.LastBackup; t != nil {
		c.fact(c.Say.Say("page.fact.backup", "when", c.Say.Moment(*t, c.now)))
		if d := c.s.LastDrill; d != nil && d.OK {
			c.fact(c.Say.Say("page.fact.tested", "when", c.Say.Moment(d.When, c.now)))
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func number(n int64) string { return strconv.FormatInt(n, 10) }
