package page

import (
	"slices"
	"time"

	"dhow/agent/api"
	"dhow/agent/words"
)

// States of the page. Each has a colour, a symbol and a word ("page.word.STATE").
const (
	stateCurrent  = "current"  // up to date
	stateReady    = "ready"    // an update waits for its hour or a person
	stateStick    = "stick"    // a stick holds one
	stateFetching = "fetching" // one is on its way
	stateWorking  = "working"  // do not switch off
	stateUndoing  = "undoing"  // it goes back
	stateDone     = "done"     // a receipt
	stateFailed   = "failed"   // the old release runs
	stateStuck    = "stuck"    // call for help
	stateNeeds    = "needs"    // a person must see to something
	statePaused   = "paused"   // nothing is fetched
	stateNew      = "new"      // nothing installed
	stateUnknown  = "unknown"  // the agent can't say
)

// View is what there is to say, in the words of who reads. All texts are plain; the template escapes them.
type View struct {
	Say       *words.Reader
	State     string
	Word      string // for the state
	Title     string // the one sentence
	Lines     [][]words.Piece
	Strong    string // "do not switch off", or a code to tell
	Bar       *Bar
	Primary   *Button
	Secondary *Button
	Receipt   []Row
	Facts     []string
	Details   Details
	// Refresh is after how many seconds a browser without JavaScript loads the page anew; 0 for never.
	Refresh int
	Site    string
	Fleet   string
	// Open is set when all details are open; Ask is the button that a form of its own asks the PIN for.
	Open bool
	Ask  *Button
	// Refused is set when the page says why something was not done.
	Refused bool
	// AskDetails is set when a stranger may see details with the PIN.
	AskDetails bool
	offers     []Button // also for who must not see the details
	// lost is what the script of the page shows when nobody answers. It stands in an attribute: a browser without script or style must not say it.
	lost string
	visitor
}

// visitor is who looks.
type visitor struct {
	chosen   string // "?lang=fr"
	stranger bool   // comes over the network: every form needs the PIN
	trusted  bool   // may see details
	nonce    string
}

// Bar is how far something is, in thousandths.
type Bar struct {
	Value int
	Text  string // "1.4 of 1.9 GB"
	Known bool   // false: something goes on, nobody knows how far
}

// percent is said by browsers that know no bars.
func (b *Bar) percent() int { return b.Value / 10 }

// Button is a form with one button.
type Button struct {
	ID, Action, Label string
	Field, Value      string // hidden
	Release           string // what it installs, hidden: another one is refused
}

// Row is a line of a table with two columns. English is set where Value is in no other language.
type Row struct {
	Name, Value string
	English     bool
}

// How often a page without JavaScript is loaded anew, in seconds.
const (
	soon   = 5
	awhile = 30
	slow   = 60
)

// newView says what the agent's answer means. note is the update whose end is to be told, or nil.
func newView(s snapshot, say *words.Reader, now time.Time, note *api.Update) *View {
	v := &View{Say: say, Refresh: slow, Site: plain(s.Status.Site, shortText), Fleet: plain(s.Status.Fleet, shortText)}
	if s.Error != nil {
		c := composer{View: v, s: s.Status, now: now}
		c.unknown(s.Error)
	} else {
		c := composer{View: v, s: s.Status, running: underWay(s.History), now: now}
		c.state(note)
		v.Details = newDetails(s, say, now)
		v.offers = v.Details.Offers
	}
	v.Word = say.Say("page.word." + v.State)
	return v
}

// underWay is the update that runs, or nil.
func underWay(list []api.Update) *api.Update {
	if len(list) > 0 && list[0].Finished.IsZero() {
		return &list[0]
	}
	return nil
}

// unknown is said when the agent has no answer.
func (c *composer) unknown(err error) {
	c.State, c.Title, c.Refresh = stateUnknown, c.Say.Say("page.unknown"), soon
	c.line(c.Say.Say("page.unknown.text"))
	c.contact()
	c.because(api.AsError(err))
}

// because says an error, and what to do about it.
func (v *View) because(e *api.Error) {
	message, hint := v.Say.Error(e.Kind, plain(e.Message, longText), plain(e.Hint, longText), harmless(e.Args))
	v.line(message)
	v.line(hint)
}

// fail says why what a person ordered was not done.
func (v *View) fail(e *api.Error) {
	v.State, v.Word, v.Title, v.Refresh = stateNeeds, v.Say.Say("page.word.failed"), v.Say.Say("page.refused"), 0
	v.Lines, v.Strong, v.Bar, v.Receipt, v.Facts, v.Secondary = nil, "", nil, nil, nil, nil
	v.because(e)
	v.Primary, v.Refused = nil, true
}

func (v *View) line(text string) {
	if text != "" {
		v.Lines = append(v.Lines, []words.Piece{{Text: text}})
	}
}

func (v *View) fact(text string) { v.Facts = append(v.Facts, text) }

// meet fits the view to who looks.
func (v *View) meet(who visitor) {
	v.visitor = who
	if !who.trusted {
		v.Details, v.AskDetails = Details{}, true
	}
	if b := v.Primary; who.stranger && b != nil && b.Action == "seen" {
		v.Primary = nil // not worth a PIN: it goes by itself
	}
}

// ask makes a page that asks for the PIN for one of its buttons, or for the details. It is not loaded anew while somebody types.
func (v *View) ask(what string) {
	if !v.stranger || what == "" {
		return
	}
	for _, b := range []*Button{v.Primary, v.Secondary} {
		if b != nil && b.ID == what {
			v.Ask = b
		}
	}
	for i, b := range v.offers {
		if b.ID == what {
			v.Ask = &v.offers[i]
		}
	}
	if what == "details" {
		v.Ask = &Button{ID: "details", Action: "details", Label: v.Say.Say("page.details")}
	}
	if v.Ask != nil {
		v.Refresh = 0
	}
}

// offered is the offer with an ID that may be installed, or nil. A page may have shown what is a copy by now.
func offered(list []api.Offer, id string) *api.Offer {
	for i := range list {
		same := list[i].ID == id || slices.ContainsFunc(list[i].Copies, func(c api.Copy) bool { return c.ID == id })
		if same && list[i].Kind == api.OfferInstall {
			return &list[i]
		}
	}
	return nil
}
