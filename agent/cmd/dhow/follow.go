package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dhow/agent/api"
)

// outcome is what the commands that change something print with --json.
type outcome struct {
	Change  uint64      `json:"change,omitempty"`
	Result  string      `json:"result"` // done, rolled back, refused, failed, ready or nothing
	Message string      `json:"message,omitempty"`
	Said    *api.Said   `json:"said,omitempty"` // the message for other languages
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
		show := s.newProgress(s.out)
		if asJSON {
			show = s.newProgress(io.Discard)
		}
		last, err := c.Follow(ctx, started.Change, show.show)
		show.end()
		if errors.Is(err, context.Canceled) {
			err = api.Fail(api.CodeInternal, "look how it goes: dhow status", "the change goes on without this window").In("goes_on")
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
		if status, err := c.Status(ctx); err == nil {
			s.tellMistake(status)
		}
	}
	if o.Error != nil {
		return o.Error
	}
	return nil
}

// outcomeOf sums up the last event of a change.
func outcomeOf(last api.Event, err error) outcome {
	o := outcome{Change: last.Change, Message: last.Message, Said: last.Said, Update: last.Update, Backup: last.Backup, Bundle: last.Bundle, Error: last.Error}
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
			o.Error.Message, o.Error.Kind = "the change did not work", "did_not_work"
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
	p := s.newProgress(s.out)
	if o.Bundle != nil {
		for _, w := range o.Bundle.Warnings {
			s.column(s.say("cli.label.warning"), w)
		}
	}
	switch {
	case (o.Result == resultNothing || o.Result == resultReady) && o.Message != "":
		s.printf("%s\n", sentence(s.message(o.Message, o.Said)))
	case o.Result == resultNothing:
		s.sayln("cli.nothing_to_do")
	case o.Result == resultReady:
		s.sayln("cli.ready_now", "command", s.command("update --now"))
	case o.Result == api.ResultDone && o.Update == nil:
		s.printf("%s %s\n", p.paint(32, s.say("cli.done")), sentence(s.message(o.Message, o.Said)))
	case o.Result == api.ResultDone:
		s.printf("%s %s\n", p.paint(32, s.say("cli.done")), s.doneText(o.Update))
		if o.Note != "" {
			s.sayln("cli.new_in", "release", o.Update.To, "note", o.Note)
		}
	case o.Result == api.ResultRolledBack && o.Update != nil:
		s.printf("%s %s\n", p.paint(31, s.say("cli.failed."+o.Update.Kind)), s.asBefore(o.Update))
	}
}

// tellMistake says that the configuration can't be used, whatever was ordered: what somebody has just written into it did not count.
func (s *shell) tellMistake(st api.Status) {
	for _, n := range st.Needs {
		if n.Kind == api.NeedConfig {
			fmt.Fprintf(s.err, "%s\n  %s\n", s.say("cli.warning", "text", s.words.Map("need."+n.Kind, n.Args)), s.say("need.do."+n.Kind))
		}
	}
}

// message puts a sentence of the agent into the reader's language where it is known in it.
func (s *shell) message(english string, said *api.Said) string {
	return said.In(s.words, english)
}

func (s *shell) doneText(u *api.Update) string {
	if u.DowntimeSeconds > 0 {
		return s.say("cli.running_away", "release", u.To, "span", s.words.Span(time.Duration(u.DowntimeSeconds*float64(time.Second))))
	}
	return s.say("cli.running", "release", u.To)
}

func (s *shell) asBefore(u *api.Update) string {
	if u.From == "" {
		return s.say("cli.nothing_as_before")
	}
	text := s.say("cli.as_before", "release", u.From)
	if u.Receipt != "" {
		text += " " + s.say("cli.code", "code", u.Receipt)
	}
	return text
}
