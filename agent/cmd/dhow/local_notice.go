package main

import (
	"dhow/agent/fault"
	"dhow/agent/notice"
	"dhow/agent/site"
)

// factTold is the fact in the journal that says what people were told.
const factTold = "told"

// newTeller makes what tells people outside of the page. It needs the manager and the journal.
func (w *wiring) newTeller() *notice.Teller {
	return notice.New(notice.Options{
		Status: w.manager.Status, History: w.manager.History, Changed: w.manager.Changed, Recall: w.told,
		Keep: func(t notice.Told) error { return w.journal.SetFact(factTold, t) },
		Config: func() notice.Config {
			c := w.now()
			return notice.Config{Hook: c.Hook, Desktop: w.showsOnDesktops(c), Language: c.Language}
		},
		Log: w.log, Now: fault.Now,
	})
}

func (w *wiring) told() (*notice.Told, error) {
	t := new(notice.Told)
	found, err := w.journal.Fact(factTold, t)
	if !found {
		t = nil
	}
	return t, err
}

// showsOnDesktops leaves the desktops alone where everything is kept under a folder, unless notify says otherwise: it may be one agent of several.
func (w *wiring) showsOnDesktops(c *site.Config) bool {
	switch c.Notify {
	case "off", "false":
		return false
	case "":
		return w.paths.Prefix == ""
	}
	return true
}
