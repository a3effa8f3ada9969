package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dhow/agent/api"
	"dhow/agent/daemon"
	"dhow/agent/site"
	"dhow/manifest/report"
)

// actor is a Manager whose changes end as its name says: done, next (a fetch that goes on as an apply), rolled-back, stuck, refused, nothing,
// waits (fetched, and the window is closed), running, echo (says what was asked for), busy, new (nothing installed yet).
type actor struct{ name, digest string }

var noon = time.Date(2020, 11, 21, 12, 0, 0, 0, time.UTC)

func (a actor) update(id uint64) *api.Update {
	u := &api.Update{
		ID: id, Receipt: api.Receipt("kin-001", id, a.name != "rolled-back" && a.name != "stuck"), Kind: "apply", From: "1.0.0", To: "1.1.0", Result: api.ResultDone, Started: noon, Finished: noon.Add(5 * time.Minute),
		DowntimeSeconds: 161, BytesFetched: 5_100_000,
	}
	switch a.name {
	case "rolled-back":
		u.Result, u.Reason = api.ResultRolledBack, `backend did not become healthy in 15 min: "Unknown column"`
	case "refused":
		u.Result, u.Reason, u.DowntimeSeconds = api.ResultRefused, "OMRS_DB_PASSWORD has no value", 0
	}
	return u
}

func (a actor) Status(context.Context) (api.Status, error) {
	switch a.name {
	case "running":
		last := a.update(17)
		last.Result, last.Finished, last.From = "", time.Time{}, ""
		check := noon.AddDate(100, 0, 0)
		return api.Status{Site: "kin-001", State: api.StateUpdating, LastUpdate: last, NextCheck: &check}, nil
	case "stuck":
		check := noon.AddDate(100, 0, 0)
		return api.Status{
			NextCheck: &check, Site: "kin-001", Release: "1.0.0", Pinned: "1.1.0", State: api.StateStuck, Code: "KIN-001-0017-R", Step: "arm-restore", StepNumber: 7,
			StepCount: 11, Health: "stopped", Warnings: []string{"going back can't finish: volume busy"},
		}, nil
	case "waits":
		return api.Status{Site: "kin-001", Release: "1.0.0", Pinned: "1.1.0", State: api.StateReady}, nil
	case "fetches":
		check := noon.AddDate(100, 0, 0)
		return api.Status{
			NextCheck: &check, Site: "kin-001", Release: "1.0.0", Pinned: "1.1.0", State: api.StateFetching, Step: "fetch-blobs", StepNumber: 3, StepCount: 4,
			Fetch: &api.Fetching{Release: "1.1.0", Done: 12_400_000, Total: 34_000_000, Speed: 22_500, SecondsLeft: 960, Estimate: "about 16 minutes"},
			Line:  &api.LineUse{Day: 12_400_000, DayBudget: 50_000_000, Month: 300_000_000, MonthBudget: 1_000_000_000},
		}, nil
	case "paused":
		until := noon.AddDate(100, 0, 0)
		return api.Status{
			NextCheck: &until, Site: "kin-001", Release: "1.0.0", Pinned: "1.1.0", State: api.StateIdle, Paused: &api.Pause{Since: noon, Until: &until},
			Fetch: &api.Fetching{
				Release: "1.1.0", Done: 12_400_000, Total: 34_000_000, Waits: "paused by a person until 21 Nov 2120 12:00", Until: &until,
				Estimate: "about 2 days with 15 MB a day",
			},
			Line: &api.LineUse{Day: 15_000_000, DayBudget: 15_000_000, Next: "15 of 15 MB used today; it goes on tomorrow"},
		}, nil
	case "new":
		check := noon.AddDate(100, 0, 0)
		return api.Status{Site: "kin-001", State: api.StateNew, NextCheck: &check, LastError: "no source answers"}, nil
	}
	backup, check := noon.AddDate(-1, 0, 0), noon.AddDate(100, 0, 0)
	return api.Status{
		Site: "kin-001", Fleet: "emr", Release: "1.1.0", KnownGood: "1.1.0", Pinned: "1.2.0", State: api.StateUpdating, Step: "back-up",
		StepNumber: 6, StepCount: 11, Health: "healthy", LastBackup: &backup, NextCheck: &check, LastUpdate: a.update(17),
		LastDrill: &api.Drill{Backup: "2019-11-20T020000-0016", When: noon.AddDate(-1, 0, -1), OK: true}, Warnings: []string{"the clock is slow"},
	}, nil
}

func (a actor) History(context.Context) ([]api.Update, error) {
	if a.name == "new" {
		return nil, nil
	}
	bad := actor{name: "rolled-back"}.update(18)
	bad.From, bad.To = "1.1.0", "1.2.0"
	return []api.Update{*bad, *a.update(17)}, nil
}

func (a actor) Backups(context.Context) ([]api.Backup, error) {
	if a.name == "new" {
		return nil, nil
	}
	return []api.Backup{{
		Name: "2019-11-21T120000-0017", Release: "1.0.0", Made: noon.AddDate(-1, 0, 0), Bytes: 1_900_000_000,
		Parts: []string{"volume db-data", "dump db"}, Restore: true,
	}, {
		Name: "2019-11-20T020000-0016", Sort: api.BackupPortable, Release: "1.0.0", Made: noon.AddDate(-1, 0, -1), Bytes: 1_900_000_000,
		Stored: 38_000_000, Parts: []string{"dump db"}, Verified: &noon, Copies: []string{"/media/usb"},
	}}, nil
}

func (a actor) KnownGood(context.Context) (api.KnownGood, error) {
	switch a.name {
	case "new":
		return api.KnownGood{}, nil
	case "adopted":
		return api.KnownGood{Release: "adopted", Project: "emr", Since: noon, Adopted: true}, nil
	}
	return api.KnownGood{Release: "1.0.0", Digest: a.digest, Project: "emr", Manifest: 1, Since: noon, Busy: a.name == "running"}, nil
}

func (a actor) Report(context.Context) (json.RawMessage, error) {
	r := report.Report{Number: 7, Fleet: "drc-emr", Site: "kin-001", Made: noon.UTC(), Agent: "1.0", Release: "1.0.0", State: api.StateIdle}
	return r.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
}

func (a actor) Update(_ context.Context, r api.UpdateRequest) (api.Started, error) {
	switch a.name {
	case "busy":
		return api.Started{}, api.Fail(api.CodeBusy, "follow it with: dhow status", "another change is under way: apply 17").In("busy", "change", "apply 17")
	case "echo":
		return api.Started{Nothing: true, Message: strings.TrimSpace(fmt.Sprintf("asked for %s now %v retry %v", r.From, r.Now, r.Retry))}, nil
	}
	return api.Started{Change: 17}, nil
}

func (a actor) PlanRollback(_ context.Context, r api.RollbackRequest) (api.RollbackPlan, error) {
	if r.To == "0.9.0" {
		return api.RollbackPlan{}, api.Fail(api.CodeRefused, "kept here: 1.0.0", "release 0.9.0 is not kept here").
			In("not_kept", "release", "0.9.0", "releases", "1.0.0")
	}
	return api.RollbackPlan{
		From: "1.1.0", To: "1.0.0", Data: "restore", DataSince: noon.AddDate(-1, 0, 0), Loss: []string{"61 changed rows in 4 tables will be lost"}, Site: "kin-001",
		Said: []api.Said{*api.Say("loss_rows", "rows", "61", "tables", "4")},
	}, nil
}

func (a actor) Rollback(_ context.Context, r api.RollbackRequest) (api.Started, error) {
	if r != (api.RollbackRequest{To: "1.0.0", Data: "restore", Confirm: "kin-001"}) {
		return api.Started{}, api.Fail(api.CodeInternal, "", "another rollback was ordered than was planned: %+v", r)
	}
	return api.Started{Change: 17}, nil
}

func (a actor) Backup(_ context.Context, r api.BackupRequest) (api.Started, error) {
	if a.name == "echo" {
		return api.Started{Nothing: true, Message: strings.TrimSpace(fmt.Sprintf("asked for %s of %q to %q", r.Action, r.Name, r.Place))}, nil
	}
	return api.Started{Change: 21}, nil
}

func (a actor) Bundle(_ context.Context, r api.BundleRequest) (api.Started, error) {
	if a.name == "echo" {
		return api.Started{Nothing: true, Message: fmt.Sprintf("asked for %q to %q", r.Releases, r.To)}, nil
	}
	return api.Started{Change: 22}, nil
}

func (a actor) Pause(_ context.Context, r api.PauseRequest) (api.Paused, error) {
	p := &api.Pause{Since: noon}
	if r.Seconds > 0 {
		until := noon.Add(time.Duration(r.Seconds) * time.Second)
		p.Until = &until
	}
	return api.Paused{Pause: p}, nil
}

func (a actor) Later(context.Context, api.LaterRequest) (api.Put, error) {
	switch a.name {
	case "waits":
		next := noon.AddDate(0, 0, 1).Add(9 * time.Hour)
		return api.Put{Later: noon.AddDate(0, 0, 1), NextApply: &next}, nil
	case "busy":
		return api.Put{}, api.Fail(api.CodeBusy, "follow it with: dhow status", "the update has begun and can't be put off").In("begun")
	}
	return api.Put{Later: noon.AddDate(0, 0, 1)}, nil
}

func (a actor) Noted(context.Context, string) error { return nil }

func (a actor) Resume(context.Context) (api.Paused, error) {
	if a.name == "paused" {
		return api.Paused{Ended: &api.Pause{Since: noon}}, nil
	}
	return api.Paused{}, nil
}

func (a actor) Events(_ context.Context, id uint64) (<-chan api.Event, error) {
	out := make(chan api.Event, 10)
	defer close(out)
	if a.name == "next" && id == 17 {
		said := "34 MB, about 25 minutes at the speed of the last days"
		out <- api.Event{Change: id, Kind: "fetch", Step: "fetch-blobs", StepNumber: 3, StepCount: 4, Message: said}
		out <- api.Event{Change: id, Kind: "fetch", Step: "fetch-blobs", StepNumber: 3, StepCount: 4, Done: 10, Total: 100, Message: said}
		out <- api.Event{Change: id, Kind: "fetch", End: true, Next: 18}
		return out, nil
	}
	if id == 21 {
		out <- api.Event{Change: id, Kind: "backup", Step: "make-backup", StepNumber: 2, StepCount: 3, Done: 1, Total: 2}
		out <- api.Event{
			Change: id, Kind: "backup", End: true, Message: "backup 2020-11-21T120000-0021 is made",
			Backup: &api.Backup{Name: "2020-11-21T120000-0021", Made: noon},
		}
		return out, nil
	}
	if a.name == "waits" {
		out <- api.Event{Change: id, Kind: "fetch", End: true, Message: "1.1.0 is here and waits for 21:00"}
		return out, nil
	}
	if a.name == "nothing" {
		out <- api.Event{Change: id, Kind: "fetch", End: true, Message: "up to date: 1.0.0 is running"}
		return out, nil
	}
	out <- api.Event{Change: id, Kind: "apply", Step: "check-site", StepNumber: 1, StepCount: 11}
	out <- api.Event{Change: id, Kind: "apply", Step: "back-up", StepNumber: 6, StepCount: 11, Done: 1, Total: 2}
	out <- api.Event{Change: id, Kind: "apply", Step: "back-up", StepNumber: 6, StepCount: 11, Done: 2, Total: 2}
	end := api.Event{Change: id, Kind: "apply", End: true, Update: a.update(id)}
	switch a.name {
	case "rolled-back":
		out <- api.Event{Change: id, Kind: "apply", Step: "arm-restore", StepNumber: 7, StepCount: 11, Undoing: true}
		end.Error = &api.Error{Code: api.CodeRolledBack, Message: end.Update.Reason}
	case "stuck":
		end.Update.Result, end.Undoing = "", true
		end.Error = &api.Error{Code: api.CodeStuck, Message: "going back can't finish: volume busy", Hint: "call for help and give the code KIN-001-0017-R"}
	case "refused":
		end.Error = &api.Error{Code: api.CodeRefused, Message: end.Update.Reason, Hint: "put it into site.env"}
	}
	out <- end
	return out, nil
}

func (a actor) Check(context.Context) error   { return nil }
func (a actor) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func fakeAgent(ts *testscript.TestScript, _ bool, args []string) {
	paths := site.Paths{Prefix: ts.Getenv("DHOW_PREFIX")}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- daemon.New(daemon.Options{
			Paths: paths, Manager: func() (daemon.Manager, error) { return actor{args[0], ts.Getenv("RELEASE")}, nil }, Soon: time.Hour,
			Next: func(time.Time) time.Time { return time.Time{} },
		}).Run(ctx)
	}()
	ts.Defer(func() { cancel(); <-done })
	for deadline := time.Now().Add(10 * time.Second); ; {
		if c, err := net.Dial("unix", paths.Socket()); err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-done:
			done <- nil
			ts.Fatalf("the agent ended: %v", err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the agent does not answer")
		}
	}
}
