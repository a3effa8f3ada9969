// Package pagetest holds a scripted agent, and every state of a site that the page can show. Tests of the page, and its pictures, are made of them.
package pagetest

import (
	"errors"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/agent/page"
)

// Now is the hour at which all states are.
var Now = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

// State is a site at one moment. Want is the state that the page shows.
type State struct {
	Name    string
	Want    string
	Status  api.Status
	History []api.Update
	Backups []api.Backup
	Machine page.Machine
	Err     error // of every answer
}

// Hostile is text as an enemy would write it: markup, what turns the direction, what takes room, and what takes a line.
var Hostile = `</p><script>document.title="owned"</script><img src=x onerror=alert(1)> {{.}} ` + "\u202eesrever\u202c\u2066 \x00\x1b[31m\r\n\t" +
	strings.Repeat("Z\u0300\u0301\u0302\u0303\u0304\u0305", 40) + strings.Repeat("<b>&\"'", 4000)

func ago(d time.Duration) *time.Time { t := Now.Add(-d); return &t }
func in(d time.Duration) *time.Time  { return ago(-d) }

// ended is an update that has ended two minutes ago.
func ended(result string) *api.Update {
	u := &api.Update{
		ID: 17, Receipt: "KIN-001-0017", Kind: "apply", From: "1.0.0", To: "1.1.0", Result: result,
		Started: Now.Add(-9 * time.Minute), Finished: Now.Add(-2 * time.Minute), DowntimeSeconds: 161, BytesFetched: 5_100_000, Backup: "2026-11-21T135312-0017",
	}
	switch result {
	case api.ResultRolledBack:
		u.Receipt, u.Backup, u.Reason = u.Receipt+"-R", "", `backend did not become healthy in 15 min: "Unknown column 'dob_estimated'"`
	case api.ResultRefused:
		u.Receipt, u.Backup, u.DowntimeSeconds, u.Reason = u.Receipt+"-R", "", 0, "setting OMRS_DB_PASSWORD is missing"
	}
	return u
}

// calm is a site on which all is well.
func calm() State {
	last := *ended(api.ResultDone)
	last.ID, last.Receipt, last.From, last.To = 12, "KIN-001-0012", "0.9.0", "1.0.0"
	last.Started, last.Finished = Now.AddDate(0, 0, -20), Now.AddDate(0, 0, -20).Add(7*time.Minute)
	failed := *ended(api.ResultRolledBack)
	failed.ID, failed.Receipt, failed.From, failed.To = 9, "KIN-001-0009-R", "0.9.0", "0.9.5"
	failed.Started, failed.Finished = Now.AddDate(0, -2, 0), Now.AddDate(0, -2, 0).Add(20*time.Minute)
	return State{
		Status: api.Status{
			Site: "kin-001", Fleet: "drc-emr", Release: "1.0.0", KnownGood: "1.0.0", Pinned: "1.0.0", Manifest: 14, State: api.StateIdle, Health: "healthy",
			Contact: "Dr. Kalala, +243 81 555 0142", LastUpdate: &last, LastCheck: ago(2 * time.Hour), LastBackup: ago(12 * time.Hour), NextBackup: in(12 * time.Hour),
			NextCheck: in(6 * time.Hour), LastDrill: &api.Drill{When: Now.AddDate(0, 0, -18), OK: true}, UsualSeconds: 170,
		},
		History: []api.Update{last, failed},
		Backups: []api.Backup{
			{Name: "2026-11-21T020012-0031", Release: "1.0.0", Made: Now.Add(-12 * time.Hour), Bytes: 1_900_000_000, Restore: true},
			{Name: "2026-11-20T020009-0030", Release: "1.0.0", Made: Now.Add(-36 * time.Hour), Bytes: 1_890_000_000, Trouble: "file dump-db.zst is damaged"},
		},
		Machine: page.Machine{Free: 64_000_000_000, Sources: []string{"oci://registry.example.org/drc-emr", "/media"}, Version: "1.0.0"},
	}
}

// pinned is a calm site that is asked to run 1.1.0.
func pinned() State {
	s := calm()
	s.Status.Pinned, s.Status.Note = "1.1.0", "New malaria form"
	return s
}

// running is a site in an update.
func running(state string) State {
	s := pinned()
	u := *ended("")
	u.Finished, u.Receipt = time.Time{}, "KIN-001-0017"
	s.History = append([]api.Update{u}, s.History...)
	s.Status.State, s.Status.Step, s.Status.StepNumber, s.Status.StepCount = state, "back-up", 6, 11
	s.Status.Done, s.Status.Total = 1_400_000_000, 1_900_000_000
	return s
}

// after is a site whose update has just ended.
func after(result string) State {
	s := pinned()
	s.Status.LastUpdate = ended(result)
	s.History = append([]api.Update{*s.Status.LastUpdate}, s.History...)
	if result == api.ResultDone {
		s.Status.Release, s.Status.KnownGood = "1.1.0", "1.1.0"
	}
	return s
}

func needs(kind string, args map[string]string) State {
	s := calm()
	s.Status.Needs = []api.Need{{Kind: kind, Args: args}}
	return s
}

func offers(list ...api.Offer) State {
	s := calm()
	s.Status.Offers = list
	return s
}

var errSick = errors.New("cannot read the journal: input/output error")

// States lists all of them.
func States() []State {
	var all []State
	add := func(name, want string, s State, change func(*api.Status)) {
		s.Name, s.Want = name, want
		if change != nil {
			change(&s.Status)
		}
		all = append(all, s)
	}
	stick := api.Offer{ID: "usb1", Path: "/media/usb/emr.tgz", Label: "EMR JUNE", Kind: api.OfferInstall, Release: "1.3.0", Note: "New malaria form"}
	second := api.Offer{ID: "usb2", Path: "/media/usb/emr-2.tgz", Label: "EMR MAY", Kind: api.OfferInstall, Release: "1.2.0"}
	add("current", "current", calm(), nil)
	add("current-hold", "current", calm(), func(s *api.Status) { s.Hold = "audit until June" })
	add("current-bad", "current", after(api.ResultRolledBack), func(s *api.Status) {
		s.LastUpdate.Finished = Now.AddDate(0, 0, -8)
		s.Bad = &api.Bad{Release: "1.1.0", When: s.LastUpdate.Finished}
	})
	add("current-by-hand", "current", pinned(), func(s *api.Status) { s.Bad = &api.Bad{Release: "1.1.0", When: Now.AddDate(0, 0, -8), ByHand: true} })
	add("current-to-come", "current", pinned(), nil)
	add("current-backup", "current", calm(), func(s *api.Status) { s.State = api.StateBackup })
	add("current-bundle", "current", calm(), func(s *api.Status) { s.State = api.StateBundle })
	add("current-stick", "current", offers(api.Offer{ID: "a", Kind: api.OfferCurrent, Release: "1.0.0", Args: map[string]string{"label": "EMR JUNE", "release": "1.0.0"}, Report: api.ReportWritten}), nil)
	add("ready", "ready", pinned(), func(s *api.Status) { s.State, s.NextApply = api.StateReady, in(7*time.Hour) })
	add("ready-later", "ready", pinned(), func(s *api.Status) {
		s.State, s.NextApply, s.Later = api.StateReady, in(31*time.Hour), in(31*time.Hour)
	})
	add("ready-first", "ready", pinned(), func(s *api.Status) { s.State, s.NextApply, s.UsualSeconds, s.Note = api.StateReady, &Now, 0, "" })
	add("stick", "stick", offers(stick), nil)
	add("stick-many", "stick", offers(stick, second), nil)
	add("stick-looking", "stick", offers(api.Offer{ID: "a", Kind: api.OfferLooking, Args: map[string]string{"label": "EMR JUNE"}}), nil)
	add("stick-foreign", "needs", offers(api.Offer{ID: "a", Kind: api.OfferForeign, Args: map[string]string{"label": "EMR JUNE"}}), nil)
	add("stick-older", "needs", offers(api.Offer{ID: "a", Kind: api.OfferOlder, Args: map[string]string{"label": "EMR JUNE", "release": "0.9.0"}}), nil)
	add("stick-damaged", "needs", offers(api.Offer{ID: "a", Kind: api.OfferDamaged, Args: map[string]string{"label": "EMR JUNE", "problem": "layer 3 of 7 has another digest"}}), nil)
	add("fetching", "fetching", pinned(), func(s *api.Status) {
		s.State, s.Fetch = api.StateFetching, &api.Fetching{Release: "1.1.0", Done: 12_400_000, Total: 34_000_000, Speed: 22_500, SecondsLeft: 960}
	})
	add("fetching-looks", "fetching", pinned(), func(s *api.Status) { s.State = api.StateFetching })
	add("fetching-waits", "fetching", pinned(), func(s *api.Status) {
		s.Fetch = &api.Fetching{
			Release: "1.1.0", Done: 12_400_000, Total: 34_000_000, Until: in(3 * time.Hour),
			Waits: "quiet hours until 17:00", WaitsSaid: api.Say("hold_quiet", "moment", "17:00"),
			Estimate: "about 2 hours with the quiet hours", EstimateSaid: api.Say("estimate_quiet", "long", "about 2 hours", "long_seconds", "7200"),
		}
	})
	add("paused", "paused", calm(), func(s *api.Status) { s.Paused = &api.Pause{Since: *ago(time.Hour), Until: in(2 * time.Hour)} })
	add("working", "working", running(api.StateUpdating), func(s *api.Status) { s.LeftSeconds = 118 })
	add("working-first", "working", running(api.StateUpdating), func(s *api.Status) { s.Step, s.StepNumber, s.Done, s.Total = "start-release", 8, 0, 0 })
	add("undoing", "undoing", running(api.StateUndoing), func(s *api.Status) {
		s.Step, s.StepNumber, s.Code, s.Done, s.Total = "start-release", 8, "KIN-001-0017-R", 0, 0
	})
	add("working-held", "needs", running(api.StateUpdating), func(s *api.Status) { s.LeftSeconds, s.Needs = 118, []api.Need{{Kind: api.NeedEngine}} })
	add("stuck", "stuck", running(api.StateStuck), func(s *api.Status) {
		s.Step, s.StepNumber, s.Code = "arm-restore", 7, "KIN-001-0017-R"
		s.Needs = []api.Need{{Kind: api.NeedStuck, Args: map[string]string{"code": s.Code}}}
		s.Warnings = []string{"going back can't finish: /var/lib/docker: input/output error"}
	})
	add("done", "done", after(api.ResultDone), nil)
	add("failed", "failed", after(api.ResultRolledBack), nil)
	add("failed-refused", "failed", after(api.ResultRefused), nil)
	add("failed-first", "failed", after(api.ResultRolledBack), func(s *api.Status) { s.Release, s.State, s.LastUpdate.From = "", api.StateNew, "" })
	add("needs-clock", "needs", needs(api.NeedClock, map[string]string{"now": "2010-01-01 00:04"}), func(s *api.Status) {
		s.Pinned, s.State = "1.1.0", api.StateReady
	})
	add("needs-disk", "needs", needs(api.NeedDisk, map[string]string{"missing": "1.1 GB", "missing_bytes": "1200000000"}), nil)
	add("needs-offline", "needs", needs(api.NeedOffline, map[string]string{"days": "12"}), func(s *api.Status) { s.LastCheck = ago(12 * 24 * time.Hour) })
	add("needs-engine", "needs", needs(api.NeedEngine, nil), nil)
	add("needs-health", "needs", needs(api.NeedHealth, map[string]string{"release": "1.0.0"}), nil)
	add("needs-config", "needs", needs(api.NeedConfig, map[string]string{
		"file": "/etc/dhow/dhow.yaml", "line": "3", "column": "5", "problem": `unknown key "windwo" (did you mean "window"?)`,
		"problem_kind": "key_like", "key": "windwo", "like": "window",
	}), nil)
	fresh := calm()
	fresh.History, fresh.Backups = nil, nil
	add("new", "new", fresh, func(s *api.Status) {
		*s = api.Status{Site: "kin-001", State: api.StateNew, NextCheck: in(time.Hour), Contact: s.Contact}
	})
	unknown := calm()
	unknown.Err = errSick
	add("unknown", "unknown", unknown, nil)
	return all
}

// HostileState is a site about which an enemy has written everything that can be written from outside, in a state.
func HostileState(name string) State {
	for _, s := range States() {
		if s.Name != name {
			continue
		}
		s.Name += "-hostile"
		st := &s.Status
		st.Site, st.Fleet, st.Release, st.Pinned, st.Note, st.Hold, st.Contact = Hostile, Hostile, Hostile, Hostile, Hostile, Hostile, Hostile
		st.Step, st.Code, st.Health, st.LastError = Hostile, Hostile, Hostile, Hostile
		if st.Fetch != nil {
			st.Fetch.Release, st.Fetch.Waits, st.Fetch.Estimate = Hostile, Hostile, Hostile
		}
		for i := range st.Needs {
			for key := range st.Needs[i].Args {
				st.Needs[i].Args[key] = Hostile
			}
		}
		for i := range st.Offers {
			o := &st.Offers[i]
			o.Path, o.Label, o.Release, o.Note = Hostile, Hostile, Hostile, Hostile
			for key := range o.Args {
				o.Args[key] = Hostile
			}
		}
		for range 50 {
			st.Warnings = append(st.Warnings, Hostile)
			s.Machine.Sources = append(s.Machine.Sources, "https://user:secret@host.example/?x="+Hostile, Hostile)
			s.Backups = append(s.Backups, api.Backup{Name: Hostile, Release: Hostile, Made: Now, Trouble: Hostile})
		}
		if u := st.LastUpdate; u != nil {
			u.From, u.To, u.Reason, u.Backup = Hostile, Hostile, Hostile, Hostile
		}
		for i := range 50 {
			u := api.Update{ID: uint64(i), Receipt: Hostile, From: Hostile, To: Hostile, Reason: Hostile, Result: api.ResultRolledBack, Started: Now, Finished: Now}
			if i == 0 && len(s.History) > 0 {
				u.Finished = s.History[0].Finished
			}
			s.History = append(s.History[:min(i, len(s.History))], u)
		}
		s.Machine.Version = Hostile
		return s
	}
	return State{}
}
