package change

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status of a whole change, derived from its steps.
type Status string

// The four statuses. Done and Undone are ends.
const (
	Doing   Status = "doing"
	Undoing Status = "undoing"
	Done    Status = "done"
	Undone  Status = "undone"
)

// StepStatus is the state of one step.
type StepStatus string

// The states of a step; see the package comment for the transitions.
const (
	StepPending StepStatus = "pending"
	StepDoing   StepStatus = "doing"
	StepDone    StepStatus = "done"
	StepUndoing StepStatus = "undoing"
	StepUndone  StepStatus = "undone"
)

// Change is the record of one change, as the journal holds it.
type Change struct {
	ID       uint64          `json:"id"`
	Kind     string          `json:"kind"`
	Plan     json.RawMessage `json:"plan,omitempty"` // what the change is about; written once
	Steps    []StepState     `json:"steps"`
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished,omitzero"` // when it was wholly done or wholly undone
	Cause    *Cause          `json:"cause,omitempty"`   // why it is or was undone
	Cleaned  bool            `json:"cleaned,omitempty"` // all cleanups have run: nothing is left to do
}

// StepState is the record of one step.
type StepState struct {
	Name     string          `json:"name"`
	Status   StepStatus      `json:"status"`
	Begun    int             `json:"begun,omitempty"` // how often Do was begun and not ended by the handler itself
	Started  time.Time       `json:"started,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	Note     json.RawMessage `json:"note,omitempty"`    // what the handler recorded before acting
	Trouble  string          `json:"trouble,omitempty"` // why the last attempt failed, while it is being repeated
	Failed   int             `json:"failed,omitempty"`  // how often in a row Undo has failed
}

// Class says which side failed.
type Class string

// The classes of failures. They are counted and treated apart: only Release makes a release bad here.
const (
	ClassNetwork     Class = "network"
	ClassSpace       Class = "space"
	ClassRelease     Class = "release"
	ClassEngine      Class = "engine"
	ClassSite        Class = "site"
	ClassTrust       Class = "trust"
	ClassInterrupted Class = "interrupted" // the step was interrupted too often
	ClassReplaced    Class = "replaced"    // a person asked for something else
	ClassWaits       Class = "waits"       // nothing failed: hours, a budget or a person hold it back, and it goes on later
	ClassYields      Class = "yields"      // nothing failed: it gives way to something that is due, and goes on after it
	ClassInternal    Class = "internal"
)

// Cause is why a change is undone.
type Cause struct {
	Step    string `json:"step"`
	Class   Class  `json:"class"`
	Code    int    `json:"code,omitempty"` // exit code for people, given by the handler
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Kind and Args are those of the Failure: the sentences for people in package words.
	Kind string            `json:"kind,omitempty"`
	Args map[string]string `json:"args,omitempty"`
}

// Status derives the status of the change from its steps.
func (c *Change) Status() Status {
	all := Done
	for _, s := range c.Steps {
		if c.Cause != nil && (s.Status == StepDoing || s.Status == StepDone || s.Status == StepUndoing) {
			return Undoing
		}
		if s.Status != StepDone {
			all = Doing
		}
	}
	if c.Cause != nil {
		return Undone
	}
	return all
}

// Current returns the step at work and its number from 1 on; for a change that has ended, the last one.
func (c *Change) Current() (int, *StepState) {
	if c.Cause != nil {
		for i := len(c.Steps) - 1; i >= 0; i-- {
			if s := c.Steps[i].Status; s == StepDoing || s == StepDone || s == StepUndoing {
				return i + 1, &c.Steps[i]
			}
		}
		return 1, &c.Steps[0]
	}
	for i := range c.Steps {
		if c.Steps[i].Status != StepDone {
			return i + 1, &c.Steps[i]
		}
	}
	return len(c.Steps), &c.Steps[len(c.Steps)-1]
}

// Step returns the state of a step by name, or nil.
func (c *Change) Step(name string) *StepState {
	for i := range c.Steps {
		if c.Steps[i].Name == name {
			return &c.Steps[i]
		}
	}
	return nil
}

// ReadPlan decodes the plan into v.
func (c *Change) ReadPlan(v any) error {
	if err := json.Unmarshal(c.Plan, v); err != nil {
		return fmt.Errorf("internal error: plan of change %d: %w", c.ID, err)
	}
	return nil
}

// ReadNote decodes the note of a step into v and reports whether there is one.
func (c *Change) ReadNote(step string, v any) (bool, error) {
	s := c.Step(step)
	if s == nil || len(s.Note) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(s.Note, v); err != nil {
		return false, fmt.Errorf("internal error: note of step %s in change %d: %w", step, c.ID, err)
	}
	return true, nil
}

// clone copies c deeply enough for readers that keep it while the runner goes on.
func (c *Change) clone() *Change {
	d := *c
	d.Steps = append([]StepState(nil), c.Steps...)
	return &d
}
