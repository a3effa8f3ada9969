package self

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle/durable"
)

const (
	maxAttempts = 5 // power cuts included
	maxCrashes  = 2
	maxUnproven = 3
)

// ErrReplaced means that the program in place is not the one that runs, nor the candidate: a package or a person has put it there.
var ErrReplaced = errors.New("another program was put in place")

const replacedReason = "another program was put in its place meanwhile"

// Next is what a process that was started as the agent has to do.
type Next int

// What Start may answer.
const (
	Run    Next = iota // be the agent
	Again              // Exec: the program is another one now
	Ending             // ctx has ended
)

// Start is the starter: with a trial pending it carries it out, and says what is to be done then. It never fails: whatever is wrong, the program
// that is in place runs. Nothing else of the site is open meanwhile.
func (a *Agent) Start(ctx context.Context) Next {
	s, err := a.State()
	if err != nil {
		a.o.Log.Error("no trial is carried out", "error", err)
		return Run
	}
	if s.Trial == nil {
		if !a.watch(s) {
			return Run
		}
		if s, err = a.State(); err != nil || s.Trial == nil {
			a.o.Log.Error("no trial is carried out", "error", err)
			return Run
		}
	}
	next, err := a.carryOn(ctx, s)
	if err != nil {
		a.o.Log.Error("the trial of the new program could not go on; the one in place runs", "error", err)
		if s, serr := a.State(); serr == nil && s.Trial != nil {
			a.stuck = err
		}
	}
	if next == Run {
		if s, err := a.State(); err == nil {
			a.watch(s)
		}
	}
	return next
}

func (a *Agent) carryOn(ctx context.Context, s State) (Next, error) {
	t := s.Trial
	if strings.HasSuffix(a.o.Program, ".new") {
		return Run, errors.New("this program is a candidate itself")
	}
	here, _, err := digestOf(a.o.Program)
	switch {
	case err != nil:
		return Run, err
	case here == t.To.Digest: // the power failed after the rename
		return Run, a.end(&s, Done, "")
	case here != t.From.Digest:
		return Run, a.end(&s, Replaced, replacedReason)
	}
	if !t.Proven {
		next, err := a.try(ctx, &s)
		if err != nil || next != Again {
			return next, err
		}
	}
	switch err := a.swap(t); {
	case errors.Is(err, ErrReplaced):
		return Run, a.end(&s, Replaced, replacedReason)
	case err != nil:
		return Run, err
	}
	return Again, a.end(&s, Done, "")
}

// try lets the candidate prove itself, in as many attempts as it may have. It answers Again when it has.
func (a *Agent) try(ctx context.Context, s *State) (Next, error) {
	t := s.Trial
	for t.Attempts < maxAttempts {
		if have, _, err := digestOf(a.candidate()); err != nil || have != t.To.Digest {
			return Run, a.end(s, RolledBack, "its file is gone or damaged")
		}
		t.Attempts++
		if err := a.save(*s); err != nil {
			return Run, err // an attempt that can't be counted is not made
		}
		v := a.attempt(ctx, t)
		a.o.Log.Info("the trial of the new program", "version", t.To.Version, "attempt", t.Attempts, "verdict", v.sort.String(), "reason", v.reason)
		switch v.sort {
		case stopped:
			t.Attempts--
			return Ending, a.save(*s)
		case proven:
			t.Proven = true
			return Again, a.save(*s)
		case hung:
			return Run, a.end(s, RolledBack, v.reason)
		case offline:
			return Run, a.end(s, Undecided, v.reason)
		case crashed:
			if t.Crashes++; t.Crashes >= maxCrashes {
				return Run, a.end(s, RolledBack, v.reason)
			}
			if err := a.save(*s); err != nil {
				return Run, err
			}
			select {
			case <-ctx.Done():
				return Ending, nil
			case <-time.After(a.o.Pause):
			}
		}
	}
	return Run, a.end(s, RolledBack, fmt.Sprintf("it was interrupted %d times before it had proven itself", t.Attempts))
}

// end notes how a trial ended, and forgets it.
func (a *Agent) end(s *State, result, reason string) error {
	t := s.Trial
	now := a.o.Now().UTC().Round(0)
	before := s.Unproven
	s.Trial, s.Unproven = nil, nil
	if t.Back != "" && result == Undecided {
		result = RolledBack // nothing tries it again
	}
	if result == Undecided {
		u := Unproven{Program: t.To, Tries: 1}
		if before != nil && before.Program == t.To {
			u.Tries += before.Tries
		}
		if u.Tries >= maxUnproven {
			result = RolledBack
		} else {
			s.Unproven = &u
		}
	}
	s.Last = &Outcome{Change: t.Change, From: t.From.Version, To: t.To.Version, Result: result, Reason: reason, Begun: t.Begun, Ended: now}
	switch {
	case t.Back != "" && result == Done:
		s.Last.From, s.Last.To, s.Last.Result, s.Last.Reason = t.To.Version, t.From.Version, TakenBack, t.Back
	case t.Back != "" && result == RolledBack: // the one in place is not changed for one that works no better
		s.Last.Reason = plain(fmt.Sprintf("it was to take the place of %s (%s): %s", t.From.Version, t.Back, reason))
	case result == Done:
		s.Failed = nil
		s.Probation = &Probation{Program: t.To, Before: t.From, Change: t.Change}
	case result == RolledBack:
		s.Failed = &Failed{Program: t.To, Reason: reason, When: now}
	}
	if err := a.save(*s); err != nil {
		return err
	}
	a.o.Log.Info("the trial of the new program has ended", "from", t.From.Version, "to", t.To.Version, "result", s.Last.Result, "reason", s.Last.Reason)
	if result == Undecided {
		return nil // it is tried again as it is
	}
	return a.dropCandidate()
}

// swap puts the candidate in the place of the program. It may be repeated. Fails with ErrReplaced when the program is another one than that of
// the trial.
func (a *Agent) swap(t *Trial) error {
	if have, _, err := digestOf(a.candidate()); err != nil || have != t.To.Digest {
		return fmt.Errorf("cannot put the new program in place: its file is gone or damaged (%w)", errors.Join(err, a.abandon()))
	}
	if err := a.replace(t.From.Digest); err != nil {
		return fmt.Errorf("cannot put the new program in place: %w", err)
	}
	return nil
}

// abandon ends a trial whose candidate was lost after it had proven itself: it is fetched again.
func (a *Agent) abandon() error {
	s, err := a.State()
	if err != nil || s.Trial == nil {
		return err
	}
	return a.end(&s, Replaced, "its file is gone or damaged")
}

// keepOld gives the program that is in place a second name. Fails with ErrReplaced when it is another one than from.
func (a *Agent) keepOld(from digest.Digest) error {
	old, tmp := oldOf(a.o.Program), newlyOldOf(a.o.Program)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(a.o.Program, tmp); err != nil {
		return err
	}
	if err := a.point("link"); err != nil {
		return err
	}
	if have, _, err := digestOf(tmp); err != nil || have != from {
		if err == nil {
			err = ErrReplaced
		}
		return errors.Join(err, os.Remove(tmp))
	}
	if err := durable.Rename(tmp, old); err != nil {
		return err
	}
	return a.point("linked")
}

// Begin writes the trial of the candidate that Prepare left; the next start carries it out. Nothing may be under way, and nothing may
// begin after it. Fails when one is pending, and with ErrReplaced when the program in place is not the one that runs: that one vouches for itself
// alone.
func (a *Agent) Begin(to Program, change uint64, expect Expect) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.State()
	if err != nil {
		s = State{} // one that can't be read says nothing
	}
	if s.Trial != nil {
		return errors.New("internal error: a trial is pending")
	}
	from, err := a.Running()
	if err != nil {
		return err
	}
	if have, _, err := digestOf(a.o.Program); err != nil {
		return err
	} else if have != from.Digest {
		return ErrReplaced
	}
	s.Trial = &Trial{Change: change, From: from, To: to, Expect: expect, Begun: a.o.Now().UTC().Round(0)}
	return a.save(s)
}

// Unfit remembers a candidate that can't be used, so that it is not tried again.
func (a *Agent) Unfit(p Program, reason string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.State()
	if err != nil {
		s = State{}
	}
	s.Failed = &Failed{Program: p, Reason: reason, When: a.o.Now().UTC().Round(0)}
	return a.save(s)
}

// Forgive lets a program be tried again that did not work.
func (a *Agent) Forgive() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.State()
	if err != nil || s.Failed == nil && s.Unproven == nil {
		return nil //nolint:nilerr // a state that can't be read says nothing, and keeps nothing from being tried
	}
	s.Failed, s.Unproven = nil, nil
	return a.save(s)
}
