package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Journal is where a runner keeps its changes. Save is one durable transaction over the change and the facts (a nil fact is deleted).
type Journal interface {
	Save(c *Change, facts map[string]json.RawMessage) error
	NextID() (uint64, error)
}

// Runner runs changes, one at a time. Fields are set once, before the first call.
type Runner struct {
	Kinds   map[string]Kind
	Journal Journal
	Now     func() time.Time
	// Wait sleeps for d or until ctx ends. Nil means a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Observer is told of every state change and progress with a copy of the change. It must not block. It may be nil.
	Observer func(c *Change, p Progress)
	// Fault is asked at the named points before and after every handler. It may be nil.
	Fault func(point string) error
	// Redact takes secrets out of a text before it is recorded. It may be nil.
	Redact func(text string) string
}

// Errors of the journal stop a run: the state on disk is then the last one that was saved.
var ErrJournal = errors.New("cannot write the journal")

const (
	firstDelay = 2 * time.Second
	lastDelay  = 5 * time.Minute
)

// Start records a new change, with its facts, without running it.
func (r *Runner) Start(kind string, plan any, facts map[string]any) (*Change, error) {
	k, ok := r.Kinds[kind]
	if !ok {
		return nil, fmt.Errorf("internal error: no kind of change %q", kind)
	}
	data, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("internal error: plan: %w", err)
	}
	id, err := r.Journal.NextID()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	c := &Change{ID: id, Kind: kind, Plan: data, Started: r.Now().UTC()}
	for _, s := range k.Steps {
		c.Steps = append(c.Steps, StepState{Name: s.Name, Status: StepPending})
	}
	encoded, err := encodeFacts(facts)
	if err != nil {
		return nil, err
	}
	return c, r.save(c, encoded)
}

// Run brings c to its end, from wherever it stands. It returns nil when c is wholly done or wholly undone and cleaned up, the
// context's error on a shutdown, and ErrJournal when the journal can't be written; in the latter two cases it is called again later.
func (r *Runner) Run(ctx context.Context, c *Change) error {
	k, ok := r.Kinds[c.Kind]
	if !ok || len(k.Steps) != len(c.Steps) {
		return fmt.Errorf("internal error: change %d of kind %q was made by another version of the agent", c.ID, c.Kind)
	}
	if c.Finished.IsZero() {
		if c.Cause == nil {
			if err := r.do(ctx, k, c); err != nil {
				return err
			}
		}
		if c.Cause != nil {
			if err := r.undo(ctx, k, c); err != nil {
				return err
			}
		}
	}
	return r.clean(ctx, k, c)
}

// Abandon marks c, which is not running and has not committed, to be undone when it is run next.
func (r *Runner) Abandon(c *Change, cause Cause) error {
	_, s := c.Current()
	cause.Step = s.Name
	c.Cause = &cause
	return r.save(c, nil)
}

func (r *Runner) do(ctx context.Context, k Kind, c *Change) error {
	committed := false
	for i := range k.Steps {
		step, state := &k.Steps[i], &c.Steps[i]
		if state.Status != StepDone {
			if err := r.doStep(ctx, k, c, step, state, committed); err != nil || c.Cause != nil {
				return err
			}
		}
		committed = committed || step.Commit
	}
	return nil
}

// doStep calls step's Do until it succeeds, or sets c.Cause.
func (r *Runner) doStep(ctx context.Context, k Kind, c *Change, step *Step, state *StepState, committed bool) error {
	if state.Status == StepPending {
		state.Status, state.Started = StepDoing, r.Now().UTC()
	}
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		if !committed && k.Interruptions > 0 && state.Begun >= k.Interruptions {
			return r.fail(c, Cause{
				Step: step.Name, Class: ClassInterrupted,
				Message: fmt.Sprintf("step %s was interrupted %d times", step.Name, state.Begun),
			})
		}
		state.Begun++
		if err := r.save(c, nil); err != nil {
			return err
		}
		t := r.task(c, step, state)
		err := r.call(ctx, t, step.Name, step.Do)
		if err == nil {
			state.Status, state.Finished, state.Trouble = StepDone, r.Now().UTC(), ""
			if c.Status() == Done {
				c.Finished = state.Finished
			}
			return r.save(c, t.facts)
		}
		if ctx.Err() != nil {
			// A shutdown is no interruption: the handler has ended.
			state.Begun--
			if err := r.save(c, nil); err != nil {
				return err
			}
			return ctx.Err()
		}
		if errors.Is(err, ErrJournal) {
			return err
		}
		state.Begun--
		retry := (*Retry)(nil)
		if !errors.As(err, &retry) && !committed {
			return r.fail(c, r.causeOf(step.Name, err))
		}
		state.Trouble = r.redact(err.Error())
		if err := r.pause(ctx, c, retry, delay); err != nil {
			return err
		}
	}
}

func (r *Runner) undo(ctx context.Context, k Kind, c *Change) error {
	for i := len(k.Steps) - 1; i >= 0; i-- {
		step, state := &k.Steps[i], &c.Steps[i]
		if state.Status == StepPending || state.Status == StepUndone {
			continue
		}
		state.Status = StepUndoing
		var facts map[string]json.RawMessage
		for delay := firstDelay; step.Undo != nil; delay = min(2*delay, lastDelay) {
			if err := r.save(c, nil); err != nil {
				return err
			}
			t := r.task(c, step, state)
			err := r.call(ctx, t, "undo-"+step.Name, step.Undo)
			if err == nil {
				facts = t.facts
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, ErrJournal) {
				return err
			}
			state.Trouble = r.redact(err.Error())
			state.Failed++
			retry := (*Retry)(nil)
			_ = errors.As(err, &retry)
			if err := r.pause(ctx, c, retry, delay); err != nil {
				return err
			}
		}
		state.Status, state.Finished, state.Trouble, state.Failed = StepUndone, r.Now().UTC(), "", 0
		if err := r.save(c, facts); err != nil {
			return err
		}
	}
	c.Finished = r.Now().UTC()
	var ended map[string]json.RawMessage
	if k.Ended != nil {
		var err error
		if ended, err = encodeFacts(k.Ended(c)); err != nil {
			return err
		}
	}
	return r.save(c, ended)
}

// clean calls the cleanups of every step that began. One that fails is left for the next run of the agent: it only tidies up.
func (r *Runner) clean(ctx context.Context, k Kind, c *Change) error {
	if c.Cleaned {
		return nil
	}
	clean := true
	for i := range k.Steps {
		step, state := &k.Steps[i], &c.Steps[i]
		if step.Cleanup == nil || state.Status == StepPending {
			continue
		}
		if err := r.call(ctx, r.task(c, step, state), "clean-"+step.Name, step.Cleanup); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			clean, state.Trouble = false, "cleaning up: "+r.redact(err.Error())
		}
	}
	c.Cleaned = clean
	return r.save(c, nil)
}

// call runs a handler between its two fault points and turns a panic into an error.
func (r *Runner) call(ctx context.Context, t *Task, name string, h Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: panic in step %s: %v\n%s", name, p, debug.Stack())
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.fault(name + "/before"); err != nil {
		return err
	}
	if err := h(ctx, t); err != nil {
		return err
	}
	return r.fault(name + "/after")
}

func (r *Runner) fail(c *Change, cause Cause) error {
	c.Cause = &cause
	return r.save(c, nil)
}

// pause saves the trouble and waits for the time that retry asks for, or else for delay.
func (r *Runner) pause(ctx context.Context, c *Change, retry *Retry, delay time.Duration) error {
	if err := r.save(c, nil); err != nil {
		return err
	}
	if retry != nil && retry.After > 0 {
		delay = retry.After
	}
	if r.Wait != nil {
		return r.Wait(ctx, delay)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (r *Runner) task(c *Change, step *Step, state *StepState) *Task {
	return &Task{Change: c, Step: step.Name, runner: r, state: state, facts: map[string]json.RawMessage{}}
}

func (r *Runner) save(c *Change, facts map[string]json.RawMessage) error {
	if err := r.Journal.Save(c, facts); err != nil {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	r.observe(c, Progress{})
	return nil
}

func (r *Runner) observe(c *Change, p Progress) {
	if r.Observer != nil {
		r.Observer(c.clone(), p)
	}
}

func (r *Runner) redact(text string) string {
	if r.Redact == nil {
		return text
	}
	return r.Redact(text)
}

// causeOf turns a handler's error into the record that the journal keeps.
func (r *Runner) causeOf(step string, err error) Cause {
	c := Cause{Step: step, Class: ClassInternal, Message: r.redact(err.Error())}
	if f := (*Failure)(nil); errors.As(err, &f) {
		c.Class, c.Code, c.Hint, c.Kind = f.Class, f.Code, f.Hint, f.Kind
		for name, value := range f.Args {
			if c.Args == nil {
				c.Args = make(map[string]string, len(f.Args))
			}
			c.Args[name] = r.redact(value)
		}
	}
	return c
}

func (r *Runner) fault(point string) error {
	if r.Fault == nil {
		return nil
	}
	return r.Fault(point)
}

func encodeFacts(facts map[string]any) (map[string]json.RawMessage, error) {
	encoded := map[string]json.RawMessage{}
	for key, v := range facts {
		data, err := encodeFact(v)
		if err != nil {
			return nil, err
		}
		encoded[key] = data
	}
	return encoded, nil
}
