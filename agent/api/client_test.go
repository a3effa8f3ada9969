package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// listen serves h on a unix socket until the test ends, or until the returned function is called.
func listen(t *testing.T, path string, h http.HandlerFunc) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	stop = func() { _ = srv.Close(); <-done }
	t.Cleanup(stop)
	return stop
}

func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dhow")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestRequestsAndAnswers(t *testing.T) {
	path := socket(t)
	var got []string
	listen(t, path, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		switch r.URL.Path {
		case "/v1/status":
			fmt.Fprint(w, `{"site":"kin-001","state":"idle","release":"1.0.0","from_the_future":1}`)
		case "/v1/history":
			fmt.Fprint(w, `[{"id":7,"kind":"apply","to":"1.0.0","result":"done"}]`)
		case "/v1/backups":
			fmt.Fprint(w, `[{"name":"b","release":"1.0.0","bytes":5}]`)
		case "/v1/update":
			fmt.Fprint(w, `{"change":8}`)
		case "/v1/rollback":
			if strings.Contains(string(body), "confirm") {
				fmt.Fprint(w, `{"change":9}`)
				return
			}
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"from":"1.1.0","to":"1.0.0","data":"restore","site":"kin-001"}`)
		}
	})
	c, ctx := NewClient(path), context.Background()
	for _, step := range []struct {
		call func() (any, error)
		want any
	}{
		{func() (any, error) { return c.Status(ctx) }, Status{Site: "kin-001", State: "idle", Release: "1.0.0"}},
		{func() (any, error) { return c.History(ctx) }, []Update{{ID: 7, Kind: "apply", To: "1.0.0", Result: "done"}}},
		{func() (any, error) { return c.Backups(ctx) }, []Backup{{Name: "b", Release: "1.0.0", Bytes: 5}}},
		{func() (any, error) { return c.Update(ctx, UpdateRequest{From: "/media/usb", Now: true}) }, Started{Change: 8}},
		{
			func() (any, error) { return c.PlanRollback(ctx, RollbackRequest{To: "1.0.0", Confirm: "kin-001"}) },
			RollbackPlan{From: "1.1.0", To: "1.0.0", Data: "restore", Site: "kin-001"},
		},
		{func() (any, error) { return c.Rollback(ctx, RollbackRequest{Confirm: "kin-001"}) }, Started{Change: 9}},
	} {
		answer, err := step.call()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(answer, step.want) {
			t.Errorf("got %+v, want %+v", answer, step.want)
		}
	}
	want := []string{
		"GET /v1/status", "GET /v1/history", "GET /v1/backups", `POST /v1/update {"from":"/media/usb","now":true}`,
		`POST /v1/rollback {"to":"1.0.0"}`, `POST /v1/rollback {"confirm":"kin-001"}`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent %q\nwant %q", got, want)
	}
	if _, err := c.Rollback(ctx, RollbackRequest{}); Code(err) != CodeNotConfirmed {
		t.Errorf("rollback without confirmation: %v", err)
	}
}

func TestErrorsOfTheAgent(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   Error
	}{
		{423, `{"code":7,"message":"an update is under way","hint":"dhow status"}`, Error{Code: CodeBusy, Message: "an update is under way", Hint: "dhow status"}},
		{500, `{"message":"odd"}`, Error{Code: CodeInternal, Message: "odd"}},
		{404, "404 page not found", Error{Code: CodeInternal, Message: "the agent answered with status 404"}},
		{409, `{"code":7,"message":"a plan it is not"}`, Error{Code: CodeBusy, Message: "a plan it is not"}},
		{200, "not JSON", Error{
			Code: CodeInternal, Message: "the agent's answer is not understood: invalid character 'o' in literal null (expecting 'u')",
			Hint: "are dhow and its agent of the same version? dhow version",
		}},
	} {
		path := socket(t)
		listen(t, path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, err := NewClient(path).Status(context.Background())
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("status %d %s: %v", c.status, c.body, err)
			continue
		}
		if e.Kind == "agent_strange" && e.Args["cause"] != "" {
			e.Kind, e.Args = "", nil // it says what the message says
		}
		if !reflect.DeepEqual(*e, c.want) {
			t.Errorf("status %d %s: %#v, want %+v", c.status, c.body, err, c.want)
		}
	}
}

func TestNoAgent(t *testing.T) {
	path := socket(t)
	stop := listen(t, path, func(http.ResponseWriter, *http.Request) {})
	stop()
	for _, p := range []string{path, filepath.Join(t.TempDir(), "none")} {
		_, err := NewClient(p).Update(context.Background(), UpdateRequest{})
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeNoAgent || e.Message != "the agent is not running" || e.Hint == "" {
			t.Errorf("%s: %#v", p, err)
		}
	}
}

func TestSlowAndCancelled(t *testing.T) {
	path := socket(t)
	listen(t, path, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := NewClient(path)
	c.answer = 20 * time.Millisecond
	if _, err := c.Status(context.Background()); err == nil || err.Error() != "the agent does not answer in time" || Code(err) != CodeInternal {
		t.Errorf("slow: %v", err)
	}
	c.answer = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func send(w http.ResponseWriter, events ...Event) {
	for _, e := range events {
		_ = json.NewEncoder(w).Encode(e)
	}
	_ = http.NewResponseController(w).Flush()
}

func TestFollowGoesOnWithTheNextChange(t *testing.T) {
	path := socket(t)
	listen(t, path, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/changes/3/events":
			send(w, Event{Change: 3, Kind: "fetch"}, Event{Change: 3, Next: 4, End: true})
		case "/v1/changes/4/events":
			send(w, Event{Change: 4, Kind: "apply"}, Event{Change: 4, End: true, Update: &Update{ID: 4, Result: ResultDone}})
		default:
			w.WriteHeader(400)
			fmt.Fprint(w, `{"code":2,"message":"there is no change 5"}`)
		}
	})
	var seen []uint64
	last, err := NewClient(path).Follow(context.Background(), 3, func(e Event) { seen = append(seen, e.Change) })
	if err != nil || last.Update == nil || last.Update.Result != ResultDone || !reflect.DeepEqual(seen, []uint64{3, 3, 4, 4}) {
		t.Errorf("last %+v, seen %v, %v", last, seen, err)
	}
	if _, err := NewClient(path).Follow(context.Background(), 5, func(Event) {}); err == nil || err.Error() != "there is no change 5" {
		t.Errorf("unknown change: %v", err)
	}
}

// The agent is killed in the middle of a line and starts again: the follower hears the end.
func TestFollowSurvivesARestart(t *testing.T) {
	path := socket(t)
	stop := listen(t, path, func(w http.ResponseWriter, r *http.Request) {
		send(w, Event{Change: 3, Step: "back-up"})
		fmt.Fprint(w, `{"change":3,"st`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := NewClient(path)
	c.pause = time.Millisecond
	var steps []string
	restarted := false
	last, err := c.Follow(context.Background(), 3, func(e Event) {
		steps = append(steps, e.Step)
		if restarted {
			return
		}
		restarted = true
		stop()
		listen(t, path, func(w http.ResponseWriter, _ *http.Request) {
			send(w, Event{Change: 3, Step: "start-release"}, Event{Change: 3, End: true, Error: &Error{Code: CodeRolledBack}})
		})
	})
	if err != nil || last.Error == nil || last.Error.Code != CodeRolledBack || !reflect.DeepEqual(steps, []string{"back-up", "start-release", ""}) {
		t.Errorf("last %+v, steps %q, %v", last, steps, err)
	}
}

func TestFollowGivesUp(t *testing.T) {
	path := socket(t)
	c := NewClient(path)
	c.patience, c.pause = 30*time.Millisecond, time.Millisecond
	_, err := c.Follow(context.Background(), 3, func(Event) {})
	if Code(err) != CodeNoAgent || err.Error() != "the agent stopped in the middle of change 3" {
		t.Errorf("%v", err)
	}
	c.patience = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Follow(ctx, 3, func(Event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEveryErrorHasAnHTTPStatus(t *testing.T) {
	for _, c := range Codes[1:] {
		status := HTTPStatus(c.Code)
		if status < 400 || status == http.StatusConflict {
			t.Errorf("code %d has status %d", c.Code, status)
		}
	}
	if e := AsError(fmt.Errorf("x: %w", Fail(CodeBusy, "h", "m"))); e.Code != CodeBusy {
		t.Errorf("wrapped: %+v", e)
	}
	if e := AsError(io.EOF); e.Code != CodeInternal || e.Message != "EOF" {
		t.Errorf("plain: %+v", e)
	}
	if Code(nil) != CodeOK || Code(io.EOF) != CodeInternal {
		t.Error("Code of nil or of a plain error")
	}
}
