package page

import (
	"path/filepath"
	"time"

	"dhow/agent/api"
	"dhow/agent/words"
)

// Details are for the technician. Causes are English, as in the log.
type Details struct {
	History  []Line
	Backups  []Line
	Machine  []Row
	Warnings []Warning
	Offers   []Button // further bundles that may be installed
}

// Warning is a sentence of the agent; English is set where there is none in another language.
type Warning struct {
	Text    string
	English bool
}

// Line is a row of a table whose first cells are short.
type Line struct {
	ID, When, What, Result, Text string
	Bad                          bool
}

// How much of each list is shown.
const (
	mostUpdates  = 10
	mostBackups  = 10
	mostWarnings = 8
	mostOffers   = 10
	mostSources  = 5
)

func newDetails(s snapshot, say *words.Reader, now time.Time) Details {
	var d Details
	for _, u := range s.History[:min(len(s.History), mostUpdates)] {
		d.History = append(d.History, historyLine(u, say, now))
	}
	for _, b := range s.Backups[:min(len(s.Backups), mostBackups)] {
		l := Line{ID: plain(b.Name, shortText), When: say.Date(b.Made, now), What: plain(b.Release, shortText), Result: say.Size(b.Bytes)}
		if l.Bad = b.Trouble != ""; l.Bad {
			l.Text = plain(b.Trouble, longText)
		}
		d.Backups = append(d.Backups, l)
	}
	d.Machine = machineRows(s, say, now)
	further := s.Status.Further()
	for _, w := range further[:min(len(further), mostWarnings)] {
		text := sentence(say, w.Text, w.Said)
		d.Warnings = append(d.Warnings, Warning{text, text == plain(w.Text, longText)})
	}
	d.Offers = offerButtons(s.Status.Offers, say)
	return d
}

// offerButtons are for the bundles beside the first. Those that say the same are one.
func offerButtons(list []api.Offer, say *words.Reader) (all []Button) {
	told := map[string]bool{}
	for i, o := range list {
		release, from := plain(o.Release, shortText), plain(o.Label+": "+filepath.Base(o.Path), shortText)
		if o.Kind != api.OfferInstall || told[release+"\x00"+from] {
			continue
		}
		told[release+"\x00"+from] = true
		if i == 0 || len(all) == mostOffers {
			continue
		}
		all = append(all, Button{
			ID: "offer-" + plain(o.ID, shortText), Action: "update", Field: "from", Value: o.ID, Release: release,
			Label: say.Say("page.button.offer", "release", release, "label", from),
		})
	}
	return all
}

// sentence is one of the agent, in the language of who reads. What fills it is bounded before it does, so that isolates stay whole.
func sentence(say *words.Reader, english string, said *api.Said) string {
	return said.In(bounded{say}, plain(english, longText))
}

// bounded is a Reader that is given harmless arguments only.
type bounded struct{ *words.Reader }

func (b bounded) Said(kind string, args map[string]string, english string) string {
	return b.Reader.Said(kind, harmless(args), english)
}

func historyLine(u api.Update, say *words.Reader, now time.Time) Line {
	l := Line{ID: plain(u.Receipt, shortText), When: say.Date(u.Started, now), What: plain(u.To, shortText), Text: plain(u.Reason, longText)}
	if u.From != "" {
		l.What = say.Say("page.fromto", "from", plain(u.From, shortText), "to", plain(u.To, shortText))
	}
	if u.Kind == "agent" {
		l.What = say.Say("page.itself", "change", l.What)
	}
	switch u.Result {
	case "":
		l.Result = say.Say("page.result.running")
	case api.ResultDone:
		l.Result = say.Say("page.result.done")
		if u.DowntimeSeconds > 0 {
			l.Text = say.Say("page.result.away", "time", say.Span(seconds(u.DowntimeSeconds)))
		}
	case api.ResultRefused:
		l.Result, l.Bad = say.Say("page.result.refused"), true
	default:
		l.Result, l.Bad = say.Say("page.result.back"), true
	}
	return l
}

// health says how the containers are.
func health(say *words.Reader, state string) string {
	if key := "cli.health." + state; say.Has(key) {
		return say.Say(key)
	}
	return state
}

func machineRows(s snapshot, say *words.Reader, now time.Time) (rows []Row) {
	st, put := s.Status, func(key, value string, english bool) {
		if value != "" {
			rows = append(rows, Row{say.Say(key), value, english})
		}
	}
	add := func(key, value string) { put(key, plain(value, longText), false) }
	cause := func(key, value string) { put(key, plain(value, longText), true) }
	told := func(key, english string, said *api.Said) {
		text := sentence(say, english, said)
		put(key, text, text == plain(english, longText))
	}
	moment := func(key string, t *time.Time) {
		if t != nil {
			add(key, say.Date(*t, now))
		}
	}
	add("page.machine.release", st.Release)
	add("page.machine.pinned", st.Pinned)
	add("page.machine.news", st.Note)
	if st.Manifest > 0 {
		add("page.machine.manifest", number(st.Manifest))
	}
	add("page.machine.health", health(say, st.Health))
	if s.Machine.Free > 0 {
		add("page.machine.free", say.Size(s.Machine.Free))
	}
	for _, source := range s.Machine.Sources[:min(len(s.Machine.Sources), mostSources)] {
		add("page.machine.source", plainSource(source))
	}
	moment("page.machine.checked", st.LastCheck)
	cause("page.machine.error", st.LastError)
	moment("page.machine.next", st.NextCheck)
	if f := st.Fetch; f != nil {
		told("page.machine.waits", f.Waits, f.WaitsSaid)
		told("page.machine.estimate", f.Estimate, f.EstimateSaid)
	}
	if l := st.Line; l != nil {
		if l.DayBudget > 0 {
			add("page.machine.day", say.Of(l.Day, l.DayBudget))
		}
		if l.MonthBudget > 0 {
			add("page.machine.month", say.Of(l.Month, l.MonthBudget))
		}
	}
	moment("page.machine.backup", st.LastBackup)
	moment("page.machine.nextbackup", st.NextBackup)
	if d := st.LastDrill; d != nil {
		text := say.Date(d.When, now)
		if !d.OK {
			text = say.Say("page.machine.drill.failed", "when", text)
		}
		add("page.machine.drill", text)
	}
	add("page.machine.version", s.Machine.Version)
	if a := st.Agent; a != nil {
		add("page.machine.asked", a.Asked)
		cause("page.machine.trouble", a.Trouble)
	}
	return rows
}
