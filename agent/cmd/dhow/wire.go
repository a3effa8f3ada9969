package main

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"dhow/agent/api"
	"dhow/agent/backup/archive"
	"dhow/agent/daemon"
	"dhow/agent/engine"
	"dhow/agent/fault"
	"dhow/agent/journal"
	"dhow/agent/page/guard"
	"dhow/agent/self"
	"dhow/agent/site"
	"dhow/agent/stack"
	"dhow/agent/update"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/serve"
	"dhow/manifest/trust"
)

// wiring is what the agent is made of, opened once it holds the site's lock.
type wiring struct {
	paths  site.Paths
	config *site.Config
	log    *slog.Logger

	network *fetch.Network
	manager *update.Manager
	trust   *trust.Client
	journal *journal.Journal

	neighbours *serve.Agent
	page       atomic.Pointer[guard.Guard]
	itself     *self.Agent
	trial      bool // of this program
}

// newManager puts the parts of the agent together. Tests replace it.
var newManager = func(w *wiring) (daemon.Manager, error) {
	w.network = fetch.NewNetwork()
	var err error
	if w.journal, err = journal.Open(w.paths.Journal()); err != nil {
		return nil, err
	}
	seen, err := update.Seen(w.journal)
	if err != nil {
		return nil, err
	}
	if w.trust, err = openTrust(w.paths.Trust(), w.config.Site, seen, w.log); err != nil {
		return nil, err
	}
	w.network.WithClock(clockOf(w.trust)).WithMirrors(func() map[string]string { return w.now().Mirrors })
	store, err := bundle.OpenStore(w.paths.Store())
	if err != nil {
		return nil, err
	}
	address, err := engineOf(w.config)
	if err != nil {
		return nil, err
	}
	w.log.Info("engine", "address", address.Address, "from", address.From)
	docker, err := engine.Connect(address.Address)
	if err != nil {
		return nil, err
	}
	compose, err := stack.New(address.Address)
	if err != nil {
		return nil, err
	}
	backups, err := archive.Open(w.paths.Archive())
	if err != nil {
		return nil, err
	}
	w.manager = update.New(update.Parts{
		Paths: w.paths, Config: w.config, Journal: w.journal, Store: store, Archive: backups, Trust: w.trust, Network: w.network, Engine: docker, Compose: compose,
		Log: w.log, Now: fault.Now, Version: version, Self: w.itself, Trial: w.trial,
	})
	w.neighbours = &serve.Agent{
		Address: func() string { return w.now().Serve }, Log: w.log,
		Handler: serve.NewHandler(serve.Site(store, w.trust), w.log),
	}
	return w.manager, nil
}

// beside shows the page, looks after sticks, tells people what happens, and gives what is here to other sites, if the configuration says so.
func (w *wiring) beside(ctx context.Context, m daemon.Manager) {
	var done sync.WaitGroup
	local := w.newPage(m)
	w.page.Store(local)
	done.Go(func() { local.Run(ctx) })
	if w.manager != nil && !w.trial {
		done.Go(func() { w.manager.Sticks(ctx) })
		done.Go(func() { w.newTeller().Run(ctx) })
	}
	if w.neighbours != nil {
		done.Go(func() { w.neighbours.Run(ctx) })
	}
	done.Wait()
}

// warn adds what is wrong with the page, and with what neighbours are given.
func (w *wiring) warn(s *api.Status) {
	if w.neighbours != nil {
		if text := w.neighbours.Warning(); text != "" {
			s.Warn(text, api.Say("warn_neighbours", "cause", text))
		}
	}
	local := w.page.Load()
	if local == nil {
		return
	}
	switch text := local.Warning(); text {
	case "":
	case guard.NoPIN:
		s.Warn(text, api.Say("warn_page_pin", "command", "sudo dhow page pin"))
	default:
		s.Warn(text, api.Say("warn_page", "cause", text))
	}
}

// now is the configuration as it is now.
func (w *wiring) now() *site.Config {
	if now, err := site.LoadConfig(w.paths.Config()); err == nil { // somebody may just be writing it
		return now
	}
	return w.config
}

// line is what the sources answered last.
func (w *wiring) line() daemon.Line {
	if w.manager == nil {
		return daemon.Line{}
	}
	asked, down := w.manager.Reached()
	return daemon.Line{Asked: asked, Down: down, Pause: w.network.Pause(w.now().Sources)}
}

// schedule is the site's own schedule as it is configured now, else the manifest's, else first.
func (w *wiring) schedule(first *site.Schedule) *site.Schedule {
	config := w.now()
	if config.Fetch != "" {
		if s, err := site.ParseSchedule(config.Fetch, config.TimeZone, config.Site); err == nil {
			return s
		}
		return first
	}
	if w.trust == nil {
		return first
	}
	current, err := w.trust.Current()
	if err != nil || current.Fleet.Policy.Fetch == "" {
		return first
	}
	zone := config.TimeZone
	if zone == "" {
		zone = current.Fleet.Policy.TimeZone
	}
	s, err := site.ParseSchedule(current.Fleet.Policy.Fetch, zone, current.Fleet.Name+"/"+config.Site)
	if err != nil {
		w.log.Warn("the fleet's fetch schedule can't be read, so it is every hour", "error", err)
		return first
	}
	return s
}

func (w *wiring) close() {
	if w.journal != nil {
		_ = w.journal.Close()
	}
}
