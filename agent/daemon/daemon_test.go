package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// fake is a Manager that notes what it is asked.
type fake struct {
	mu     sync.Mutex
	calls  []string
	err    error // of every reader and changer
	events chan api.Event
	check  chan struct{}
	run    func(ctx context.Context) error
}

func newFake() *fake {
	return &fake{
		events: make(chan api.Event, 10), check: make(chan struct{}, 100),
		run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	}
}

func (f *fake) note(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.err
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fake) Status(context.Context) (api.Status, error) {
	return api.Status{Site: "kin-001", State: api.StateIdle}, f.note("status")
}
func (f *fake) History(context.Context) ([]api.Update, error) { return nil, f.note("history") }
func (f *fake) Backups(context.Context) ([]api.Backup, error) { return nil, f.note("backups") }
func (f *fake) KnownGood(context.Context) (api.KnownGood, error) {
	return api.KnownGood{Release: "1.1.0"}, f.note("known-good")
}

func (f *fake) Report(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{"format":1}`), f.note("report")
}

func (f *fake) Update(_ context.Context, r api.UpdateRequest) (api.Started, error) {
	return api.Started{Change: 7}, f.note("update " + r.From)
}

func (f *fake) PlanRollback(_ context.Context, r api.RollbackRequest) (api.RollbackPlan, error) {
	return api.RollbackPlan{From: "1.1.0", To: r.To, Site: "kin-001"}, f.note("plan " + r.To)
}

func (f *fake) Backup(_ context.Context, r api.BackupRequest) (api.Started, error) {
	return api.Started{Change: 9}, f.note("backup " + r.Action + " " + r.Name + " " + r.Place)
}

func (f *fake) Bundle(_ context.Context, r api.BundleRequest) (api.Started, error) {
	return api.Started{Change: 10}, f.note("bundle " + r.To + " " + strings.Join(r.Releases, ","))
}

func (f *fake) Pause(_ context.Context, r api.PauseRequest) (api.Paused, error) {
	return api.Paused{Pause: &api.Pause{Since: time.Unix(r.Seconds, 0).UTC()}}, f.note("pause")
}

func (f *fake) Later(context.Context, api.LaterRequest) (api.Put, error) {
	return api.Put{Later: time.Unix(7, 0).UTC()}, f.note("later")
}

func (f *fake) Noted(_ context.Context, receipt string) error { return f.note("noted " + receipt) }

func (f *fake) Resume(context.Context) (api.Paused, error) { return api.Paused{}, f.note("resume") }

func (f *fake) Rollback(_ context.Context, r api.RollbackRequest) (api.Started, error) {
	return api.Started{Change: 8}, f.note("rollback " + r.Confirm)
}

func (f *fake) Events(_ context.Context, change uint64) (<-chan api.Event, error) {
	if change != 7 {
		return nil, api.Fail(api.CodeUsage, "", "there is no change %d", change)
	}
	return f.events, f.note("events")
}
func (f *fake) Check(context.Context) error   { f.check <- struct{}{}; return f.note("check") }
func (f *fake) Run(ctx context.Context) error { return f.run(ctx) }

// prefix is a short folder: the path of a unix socket is limited.
func prefix(t *testing.T) site.Paths {
	t.Helper()
	dir, err := os.MkdirTemp("", "dhow")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return site.Paths{Prefix: dir}
}

func never(time.Time) time.Time { return time.Time{} }

// start runs a daemon and waits until it answers. stop ends it and returns what Run returned.
func start(t *testing.T, o Options) (c *api.Client, stop func() error) {
	t.Helper()
	if o.Next == nil {
		o.Next = never
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Run(ctx) }()
	c = api.NewClient(o.Paths.Socket())
	for deadline := time.Now().Add(10 * time.Second); ; {
		if conn, err := net.Dial("unix", o.Paths.Socket()); err == nil {
			_ = conn.Close()
			break
		}
		select {
		case err := <-done:
			t.Fatalf("the daemon ended: %v", err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not answer")
		}
	}
	var once sync.Once
	var ended error
	stop = func() error {
		once.Do(func() { cancel(); ended = <-done })
		return ended
	}
	t.Cleanup(func() { _ = stop() })
	return c, stop
}

func with(f *fake) func() (Manager, error) { return func() (Manager, error) { return f, nil } }

func TestServesItsManager(t *testing.T) {
	f, paths, ctx := newFake(), prefix(t), context.Background()
	noon := time.Now().Add(12 * time.Hour).Round(0)
	c, stop := start(t, Options{Paths: paths, Manager: with(f), Soon: 12 * time.Hour})
	s, err := c.Status(ctx)
	if err != nil || s.Site != "kin-001" || s.NextCheck == nil || s.NextCheck.Sub(noon).Abs() > time.Minute {
		t.Errorf("status %+v, %v", s, err)
	}
	if h, err := c.History(ctx); err != nil || h == nil || len(h) != 0 {
		t.Errorf("history %#v, %v: want an empty list", h, err)
	}
	if b, err := c.Backups(ctx); err != nil || b == nil || len(b) != 0 {
		t.Errorf("backups %#v, %v: want an empty list", b, err)
	}
	if u, err := c.Update(ctx, api.UpdateRequest{From: "/media/usb"}); err != nil || u.Change != 7 {
		t.Errorf("update %+v, %v", u, err)
	}
	if p, err := c.PlanRollback(ctx, api.RollbackRequest{To: "1.0.0"}); err != nil || p.From != "1.1.0" || p.To != "1.0.0" {
		t.Errorf("plan %+v, %v", p, err)
	}
	if r, err := c.Backup(ctx, api.BackupRequest{Action: api.BackupExport, Name: "b", Place: "/media/usb"}); err != nil || r.Change != 9 {
		t.Errorf("backup %+v, %v", r, err)
	}
	if r, err := c.Rollback(ctx, api.RollbackRequest{Confirm: "kin-001"}); err != nil || r.Change != 8 {
		t.Errorf("rollback %+v, %v", r, err)
	}
	f.events <- api.Event{Change: 7, Step: "back-up"}
	f.events <- api.Event{Change: 7, End: true, Update: &api.Update{Result: api.ResultDone}}
	last, err := c.Follow(ctx, 7, func(api.Event) {})
	if err != nil || last.Update == nil || last.Update.Result != api.ResultDone {
		t.Errorf("last event %+v, %v", last, err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	want := []string{"status", "history", "backups", "update /media/usb", "plan 1.0.0", "backup export b /media/usb", "rollback kin-001", "events"}
	if !reflect.DeepEqual(f.calls, want) {
		t.Errorf("calls %q\n want %q", f.calls, want)
	}
	if _, err := os.Stat(paths.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestErrorsReachTheClient(t *testing.T) {
	f, paths, ctx := newFake(), prefix(t), context.Background()
	c, _ := start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour})
	for _, sent := range []struct {
		err  error
		want api.Error
	}{
		{api.Fail(api.CodeBusy, "wait", "another change is under way"), api.Error{Code: api.CodeBusy, Message: "another change is under way", Hint: "wait"}},
		{api.Fail(api.CodeNotConfirmed, "", "not the name of this site"), api.Error{Code: api.CodeNotConfirmed, Message: "not the name of this site"}},
		{errors.New("disk on fire"), api.Error{Code: api.CodeInternal, Message: "disk on fire"}},
	} {
		f.fail(sent.err)
		for name, call := range map[string]func() error{
			"status":   func() error { _, err := c.Status(ctx); return err },
			"history":  func() error { _, err := c.History(ctx); return err },
			"backups":  func() error { _, err := c.Backups(ctx); return err },
			"update":   func() error { _, err := c.Update(ctx, api.UpdateRequest{}); return err },
			"plan":     func() error { _, err := c.PlanRollback(ctx, api.RollbackRequest{}); return err },
			"rollback": func() error { _, err := c.Rollback(ctx, api.RollbackRequest{Confirm: "x"}); return err },
			"events":   func() error { _, err := c.Follow(ctx, 7, func(api.Event) {}); return err },
		} {
			var e *api.Error
			if err := call(); !errors.As(err, &e) || !reflect.DeepEqual(*e, sent.want) {
				t.Errorf("%s: %#v, want %+v", name, err, sent.want)
			}
		}
	}
}

func TestOddRequestsAreRefused(t *testing.T) {
	f, paths := newFake(), prefix(t)
	start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour})
	hc := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", paths.Socket())
	}}}
	for _, c := range []struct {
		method, path, body, want string
		status                   int
	}{
		{"GET", "/", "", "the agent does not know GET /", 404},
		{"DELETE", "/v1/status", "", "the agent does not know DELETE /v1/status", 404},
		{"POST", "/v1/update", "", "the request is not understood: not valid: not JSON at byte 0", 400},
		{"POST", "/v1/update", "[]", "the request is not understood: json: cannot unmarshal array", 400},
		{"POST", "/v1/update", `{"dry_run":true}`, `the request is not understood: json: unknown field \"dry_run\"`, 400},
		{"POST", "/v1/update", `{} {}`, "the request is not understood: not valid: more than one JSON value", 400},
		{"POST", "/v1/update", `{"from":"` + strings.Repeat("x", maxBody) + `"}`, "http: request body too large", 400},
		{"GET", "/v1/changes/x/events", "", `\"x\" is not the number of a change`, 400},
		{"GET", "/v1/changes/99/events", "", "there is no change 99", 400},
	} {
		req, err := http.NewRequest(c.method, "http://x"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := hc.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
			continue
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(body.String(), c.want) || !strings.Contains(body.String(), `"code":2`) {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, body.String())
		}
	}
	if len(f.calls) != 0 {
		t.Errorf("the manager was asked: %q", f.calls)
	}
}

func TestASecondAgentIsTold(t *testing.T) {
	f, paths := newFake(), prefix(t)
	c, _ := start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour})
	opened := false
	err := New(Options{Paths: paths, Next: never, Manager: func() (Manager, error) { opened = true; return f, nil }}).Run(context.Background())
	if api.Code(err) != api.CodeBusy || err.Error() != "another agent is running at this site" {
		t.Errorf("second agent: %v", err)
	}
	if opened {
		t.Error("the second agent opened the journal")
	}
	if _, err := c.Status(context.Background()); err != nil {
		t.Errorf("the first agent was disturbed: %v", err)
	}
}

func TestSocketOfADeadAgentIsReplacedAndProtected(t *testing.T) {
	f, paths := newFake(), prefix(t)
	if err := paths.Make(); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: paths.Socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour, Group: "root"})
	for path, mode := range map[string]os.FileMode{paths.Socket(): 0o660, paths.Run(): 0o750} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}
}

func TestSocketCannotBeOpened(t *testing.T) {
	long := prefix(t)
	long.Prefix += "/" + strings.Repeat("x", 90)
	file := prefix(t)
	if err := file.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file.Socket(), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths site.Paths
		want  string
	}{
		{long, "cannot open socket: " + long.Socket() + " is longer than 103 bytes: choose a shorter prefix"},
		{file, "cannot open socket: " + file.Socket() + " is there and is not a socket"},
	} {
		err := New(Options{Paths: c.paths, Manager: with(newFake()), Next: never}).Run(context.Background())
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if data, err := os.ReadFile(file.Socket()); err != nil || string(data) != "precious" {
		t.Errorf("the file was touched: %q, %v", data, err)
	}
}

func TestStopsWithTheWorker(t *testing.T) {
	f, paths := newFake(), prefix(t)
	f.run = func(context.Context) error { return errors.New("cannot write journal: input/output error") }
	err := New(Options{Paths: paths, Manager: with(f), Next: never, Soon: time.Hour}).Run(context.Background())
	if err == nil || err.Error() != "cannot write journal: input/output error" {
		t.Errorf("worker failed: %v", err)
	}

	f = newFake()
	broken := errors.New("cannot open journal")
	err = New(Options{Paths: paths, Manager: func() (Manager, error) { return nil, broken }, Next: never}).Run(context.Background())
	if !errors.Is(err, broken) {
		t.Errorf("no manager: %v", err)
	}

	hang := make(chan struct{})
	defer close(hang)
	f.run = func(context.Context) error { <-hang; return nil }
	_, stop := start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour, Grace: 20 * time.Millisecond})
	if err := stop(); err == nil || err.Error() != "the change that runs did not stop within 20ms; it goes on at the next start" {
		t.Errorf("hanging worker: %v", err)
	}
}

// A follower is let go at once when the agent stops, without a last event: it comes back to the next agent.
func TestStopLetsFollowersGo(t *testing.T) {
	f, paths := newFake(), prefix(t)
	c, stop := start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour})
	seen := make(chan api.Event, 10)
	f.events <- api.Event{Change: 7, Step: "back-up"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := c.Follow(ctx, 7, func(e api.Event) { seen <- e }); done <- err }()
	<-seen
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f2 := newFake()
	f2.events <- api.Event{Change: 7, End: true}
	start(t, Options{Paths: paths, Manager: with(f2), Soon: time.Hour})
	if err := <-done; err != nil {
		t.Errorf("follower: %v", err)
	}
	cancel()
}

func TestLogHoldsNoRequest(t *testing.T) {
	f, paths := newFake(), prefix(t)
	var log bytes.Buffer
	c, stop := start(t, Options{Paths: paths, Manager: with(f), Soon: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := c.Update(context.Background(), api.UpdateRequest{From: "https://user:hunter2@registry.example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := log.String(); strings.Contains(s, "hunter2") || !strings.Contains(s, "path=/v1/update") {
		t.Errorf("log: %s", s)
	}
}
