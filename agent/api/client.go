package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"time"
)

const (
	maxAnswer = 16 << 20 // bytes of one answer
	maxEvent  = 1 << 20  // bytes of one event
)

// Client talks to the agent of this computer. Every error that it returns is an *Error, or the context's.
type Client struct {
	http *http.Client

	answer   time.Duration // how long one answer may take
	patience time.Duration // how long a follower waits for an agent that went away
	pause    time.Duration // between two attempts to reach it again
}

// NewClient makes a client for the agent that listens on the unix socket at path. It opens no connection.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{
		http:     &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, IdleConnTimeout: 10 * time.Second}},
		answer:   time.Minute,
		patience: 30 * time.Second,
		pause:    250 * time.Millisecond,
	}
}

// Status asks how the site is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// History asks for the updates of the site, newest first.
func (c *Client) History(ctx context.Context) ([]Update, error) {
	var u []Update
	return u, c.ask(ctx, http.MethodGet, "/v1/history", nil, &u)
}

// Backups asks for the backups of the site, newest first.
func (c *Client) Backups(ctx context.Context) ([]Backup, error) {
	var b []Backup
	return b, c.ask(ctx, http.MethodGet, "/v1/backups", nil, &b)
}

// Report asks for the signed report for the central team, see package manifest/report.
func (c *Client) Report(ctx context.Context) (json.RawMessage, error) {
	var r json.RawMessage
	return r, c.ask(ctx, http.MethodGet, "/v1/report", nil, &r)
}

// Update asks for an update. It returns as soon as the change has begun; follow it with Follow.
func (c *Client) Update(ctx context.Context, r UpdateRequest) (Started, error) {
	var s Started
	return s, c.ask(ctx, http.MethodPost, "/v1/update", r, &s)
}

// Pause orders that nothing is fetched until somebody resumes, or for a while.
func (c *Client) Pause(ctx context.Context, r PauseRequest) (Paused, error) {
	var p Paused
	return p, c.ask(ctx, http.MethodPost, "/v1/pause", r, &p)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context) (Paused, error) {
	var p Paused
	return p, c.ask(ctx, http.MethodPost, "/v1/resume", struct{}{}, &p)
}

// Later puts off the update that is ready until tomorrow.
func (c *Client) Later(ctx context.Context, r LaterRequest) (Put, error) {
	var p Put
	return p, c.ask(ctx, http.MethodPost, "/v1/later", r, &p)
}

// PlanRollback asks what a rollback would do. Nothing happens.
func (c *Client) PlanRollback(ctx context.Context, r RollbackRequest) (RollbackPlan, error) {
	r.Confirm = ""
	var p RollbackPlan
	status, err := c.send(ctx, http.MethodPost, "/v1/rollback", r, &p, http.StatusConflict)
	if err == nil && status != http.StatusConflict {
		return p, Fail(CodeInternal, "update dhow", "the agent did not answer with a plan").In("agent_other")
	}
	return p, err
}

// Rollback orders a rollback. r.Confirm must be the site's name.
func (c *Client) Rollback(ctx context.Context, r RollbackRequest) (Started, error) {
	if r.Confirm == "" {
		return Started{}, Fail(CodeNotConfirmed, "", "the rollback is not confirmed; nothing was done").In("not_confirmed")
	}
	var s Started
	return s, c.ask(ctx, http.MethodPost, "/v1/rollback", r, &s)
}

func (c *Client) ask(ctx context.Context, method, path string, body, answer any) error {
	_, err := c.send(ctx, method, path, body, answer, http.StatusOK)
	return err
}

// send does one request. An answer with a status other than 2xx or want is an *Error.
func (c *Client) send(ctx context.Context, method, path string, body, answer any, want int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.answer)
	defer cancel()
	resp, err := c.open(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, lost(ctx, err)
	}
	if len(data) > maxAnswer {
		return 0, Fail(CodeInternal, "", "internal error: the agent's answer is larger than %d bytes", maxAnswer)
	}
	if resp.StatusCode != want && resp.StatusCode/100 != 2 {
		return 0, failure(resp.StatusCode, data)
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return 0, Fail(CodeInternal, "are dhow and its agent of the same version? dhow version", "the agent's answer is not understood: %v", err).In("agent_strange", "cause", err.Error())
	}
	return resp.StatusCode, nil
}

func (c *Client) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, Fail(CodeInternal, "", "internal error: %v", err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://dhow"+path, r)
	if err != nil {
		return nil, Fail(CodeInternal, "", "internal error: %v", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, lost(ctx, err)
	}
	return resp, nil
}

// failure makes the Error of an answer that is none of the expected ones.
func failure(status int, body []byte) error {
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Message == "" {
		return Fail(CodeInternal, "", "the agent answered with status %d", status)
	}
	if e.Code == CodeOK {
		e.Code = CodeInternal
	}
	return e
}

// lost says why no answer came.
func lost(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return Fail(CodeInternal, "look at what it does: dhow status", "the agent does not answer in time").In("agent_slow")
	case errors.Is(err, fs.ErrPermission):
		return Fail(CodeInternal, "use sudo, or ask to be put into the group dhow", "no permission to talk to the agent").In("no_permission")
	}
	return Fail(CodeNoAgent, "start it with: sudo systemctl start dhow   (or, without a service: sudo dhow agent)", "the agent is not running").In("no_agent")
}
