package main

import (
	"time"

	"dhow/agent/daemon"
	"dhow/agent/fault"
	"dhow/agent/metrics"
	"dhow/agent/page"
	"dhow/agent/page/guard"
	"dhow/agent/site"
)

// newPage makes the local page, behind its guard.
func (w *wiring) newPage(m daemon.Manager) *guard.Guard {
	handler := page.New(page.Options{
		Agent: m, Now: func() time.Time { return fault.Now().In(w.zone()) }, Log: w.log,
		Machine: func() page.Machine {
			free, err := w.free()
			if err != nil {
				free = 0
			}
			return page.Machine{Free: free, Sources: w.now().Sources, Version: version}
		},
	})
	return guard.New(guard.Options{
		Dir: w.paths.Page(), Log: w.log,
		Config: func() *site.Config {
			c := *w.now()
			c.Page.Off = pageOff(w.paths, c.Page)
			return &c
		},
		Metrics: metrics.New(metrics.Source{
			Version: version, Now: fault.Now, Free: w.free,
			Status: m.Status,
		}),
	}, handler)
}

func (w *wiring) free() (int64, error) { return site.Free(w.paths.State()) }

// zone is the time zone of the people here: the site's own, else the fleet's.
func (w *wiring) zone() *time.Location {
	name := w.now().TimeZone
	if name == "" && w.trust != nil {
		if current, err := w.trust.Current(); err == nil {
			name = current.Fleet.Policy.TimeZone
		}
	}
	zone, err := site.Zone(name)
	if err != nil {
		return time.Local
	}
	return zone
}
