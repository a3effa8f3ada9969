package change

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Handler does, undoes or cleans up one step. It answers nil, an error, or *Retry. An error of a cancelled context is a shutdown, not
// a failure: the handler is called again after the restart.
type Handler func(ctx context.Context, t *Task) error

// Step is one line of a table of steps. Undo and Cleanup may be nil.
type Step struct {
	Name    string
	Do      Handler
	Undo    Handler
	Cleanup Handler
	// Commit marks the step after which nothing is undone any more.
	Commit bool
}

// Kind is a sort of change: its table of steps and what ends it.
type Kind struct {
	Steps []Step
	// Interruptions is how often one step may be interrupted by a crash before the change is undone; 0 means any number.
	Interruptions int
	// Ended gives facts to write in the transaction that ends a change as undone. It may be nil.
	Ended func(c *Change) map[string]any
}

// Retry asks the runner to call the handler again after a while. It is no failure.
type Retry struct {
	After time.Duration
	Err   error
}

func (r *Retry) Error() string { return r.Err.Error() }
func (r *Retry) Unwrap() error { return r.Err }

// Failure is an error with its class, exit code and hint.
type Failure struct {
	Class Class
	Code  int
	Hint  string
	Kind  string            // of its sentences in package words, and what fills them
	Args  map[string]string // (see api.Error)
	Err   error
}

// In returns f with the kind of its sentences, and their arguments: names and values by turns.
func (f *Failure) In(kind string, args ...string) *Failure {
	f.Kind, f.Args = kind, map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		f.Args[args[i]] = args[i+1]
	}
	return f
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Progress is how far a handler is. Done and Total are bytes; both may be 0.
type Progress struct {
	Done, Total int64
	Message     string
	Said        any // the message for other languages, handed on as it is
}

// Task is what a handler is given: the change, its step, and ways to record.
type Task struct {
	Change *Change // read only for handlers
	Step   string

	runner *Runner
	state  *StepState
	facts  map[string]json.RawMessage
}

// Save records v as the note of this step, in the journal, before it returns. Handlers call it before the effect that v describes.
func (t *Task) Save(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("internal error: note of step %s: %w", t.Step, err)
	}
	t.state.Note = data
	return t.runner.save(t.Change, nil)
}

// Note reads the note of this step into v and reports whether there is one.
func (t *Task) Note(v any) (bool, error) { return t.Change.ReadNote(t.Step, v) }

// Set records a fact about the site in the same transaction that makes this step done (or undone). A nil value deletes the fact.
func (t *Task) Set(key string, v any) error {
	data, err := encodeFact(v)
	if err != nil {
		return err
	}
	t.facts[key] = data
	return nil
}

// Progress tells observers how far the handler is. It is cheap and is not stored.
func (t *Task) Progress(p Progress) { t.runner.observe(t.Change, p) }

// Fault is a place at which tests fail the handler.
func (t *Task) Fault(place string) error { return t.runner.fault(t.Step + "/" + place) }

func encodeFact(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("internal error: fact: %w", err)
	}
	return data, nil
}
