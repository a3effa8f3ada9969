package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"dhow/agent/api"
)

// outcome is what the commands that change something print with --json.
type outcome struct {
	Change  uint64      `json:"change,omitempty"`
	Result  string      `json:"result"` // done, rolled back, refused, failed, ready or nothing
	Message string      `json:"message,omitempty"`
	Note    string      `json:"note,omitempty"` // what the release that runs now says of itself
	Update  *api.Update `json:"update,omitempty"`
	Backup  *api.Backup `json:"backup,omitempty"`
	Bundle  *api.Bundle `json:"bundle,omitempty"`
	Error   *api.Error  `json:"error,omitempty"`
}

// Results that a change does not have.
const (
	resultNothing = "nothing" // nothing to do, or not yet
	resultReady   = "ready"   // a release is here and waits
	resultFailed  = "failed"
)

// follow shows a change until it ends and returns its error, whose code is the exit code.
func (s *shell) follow(ctx context.Context, asJSON bool, start func(*api.Client) (api.Started, error)) error {
	c := s.client()
	started, err := start(c)
	var o outcome
	switch {
	case err != nil:
		o = outcome{Result: resultFailed, Error: explain(err)}
	case started.Nothing:
		o = outcome{Change: started.Change, Result: resultNothing, Message: started.Message}
	default:
		show := newProgress(s.out)
		if asJSON {
			show = newProgress(io.Discard)
		}
		last, err := c.Follow(ctx, started.Change, show.show)
		show.end()
		if errors.Is(err, context.Canceled) {
			err = api.Fail(api.CodeInternal, "look how it goes: dhow status", "the change goes on without this window")
		}
		o = outcomeOf(last, err)
	}
	if o.Result == resultNothing {
		if status, err := c.Status(ctx); err == nil && status.State == api.StateReady {
			o.Result = resultReady
		}
	}
	if o.Result == api.ResultDone && o.Update != nil {
		if status, err := c.Status(ctx); err == nil && status.Release == o.Update.To && status.Pinned == o.Update.To {
			o.Note = status.Note
		}
	}
	if o.Error != nil {
		o.Error = s.hinted(o.Error)
	}
	if asJSON {
		if err := s.json(o); err != nil {
			return err
		}
	} else {
		s.tell(o)
	}
	if o.Error != nil {
		return o.Error
	}
	return nil
}

// outcomeOf sums up the last event of a change.
func outcomeOf(last api.Event, err error) outcome {
	o := outcome{Change: last.Change, Message: last.Message, Update: last.Update, Backup: last.Backup, Bundle: last.Bundle, Error: last.Error}
	if err != nil {
		o.Error = explain(err)
	}
	if u := o.Update; u != nil && o.Error == nil && u.Result != api.ResultDone {
		// An agent that says nothing but the result.
		code := api.CodeInternal
		switch u.Result {
		case api.ResultRolledBack:
			code = api.CodeRolledBack
		case api.ResultRefused:
			code = api.CodeRefused
		}
		o.Error = &api.Error{Code: code, Message: u.Reason}
		if u.Reason == "" {
			o.Error.Message = "the change did not work"
		}
	}
	switch {
	case o.Error == nil && (o.Backup != nil || o.Bundle != nil):
		o.Result = api.ResultDone
	case o.Error == nil && o.Update == nil:
		o.Result = resultNothing
	case o.Error == nil:
		o.Result = api.ResultDone
	case o.Error.Code == api.CodeRolledBack:
		o.Result = api.ResultRolledBack
	case o.Error.Code == api.CodeRefused:
		o.Result = api.ResultRefused
	default:
		o.Result = resultFailed
	}
	return o
}

// tell says the end in a sentence. Errors are told by run.
func (s *shell) tell(o outcome) {
	p := newProgress(s.out)
	if o.Bundle != nil {
		for _, w := range o.Bundle.Warnings {
			s.printf("warning   %s\n", w)
		}
	}
	switch {
	case (o.Result == resultNothing || o.Result == resultReady) && o.Message != "":
		s.printf("%s\n", sentence(o.Message))
	case o.Result == resultNothing:
		s.printf("Nothing to do.\n")
	case o.Result == resultReady:
		s.printf("An update is ready; put it in place now with: %s\n", s.command("update --now"))
	case o.Result == api.ResultDone && o.Update == nil:
		s.printf("%s %s\n", p.paint(32, "Done."), sentence(o.Message))
	case o.Result == api.ResultDone:
		s.printf("%s\n", p.paint(32, "Done.")+" "+doneText(o.Update))
		if o.Note != "" {
			s.printf("New in %s: %s\n", o.Update.To, o.Note)
		}
	case o.Result == api.ResultRolledBack && o.Update != nil:
		s.printf("%s %s\n", p.paint(31, "The "+strings.Replace(o.Update.Kind, "apply", "update", 1)+" did not work."), asBefore(o.Update))
	}
}

func doneText(u *api.Update) string {
	text := u.To + " is running"
	if u.DowntimeSeconds > 0 {
		text += "; away for " + span(time.Duration(u.DowntimeSeconds*float64(time.Second)))
	}
	return text + "."
}

func asBefore(u *api.Update) string {
	if u.From == "" {
		return "Nothing is running, as before."
	}
	text := u.From + " is running as before and no data was lost."
	if u.Receipt != "" {
		text += " Code " + u.Receipt + "."
	}
	return text
}
