package self

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"dhow/bundle/durable"
)

// maxBadEnds is how often a program on probation may end badly.
const maxBadEnds = 3

// maxCrash bounds what is read of a crash, in bytes.
const maxCrash = 8 << 10

// Probation is the time after the trial in which a program does the real work for the first time.
type Probation struct {
	Program Program `json:"program"` // on probation
	Before  Program `json:"before"`  // ran until then, and stands in .dhow.old
	Change  uint64  `json:"change,omitempty"`
	BadEnds int     `json:"bad_ends,omitempty"`
	// Running is written before the work begins, and taken away when it has ended cleanly.
	Running *Running `json:"running,omitempty"`
	Reason  string   `json:"reason,omitempty"` // of the last bad end, where it is known
}

// Running is a process. Two with the same values are one.
type Running struct {
	Boot  string `json:"boot"` // of the system
	PID   int    `json:"pid"`
	Began string `json:"began"` // by the kernel
}

// watch begins the work of a program on probation: it counts the end of the run before when that was a bad one, and notes this one. With too many it
// begins the trial of the program before, and returns true. Whatever it can't read or write keeps nothing from running.
func (a *Agent) watch(s State) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := s.Probation
	if p == nil || a.ownErr != nil {
		return false
	}
	if p.Program.Digest != a.own { // somebody has put another one in its place, who answers for it
		s.Probation = nil
		a.tried("the probation of another program ends", a.save(s))
		return false
	}
	me := a.me()
	if r := p.Running; r != nil && *r != me && r.Boot == me.Boot {
		if lives(*r) {
			return false // it is at work: this process will find the site locked
		}
		p.BadEnds++
		if last := a.lastCrash(); last != "" {
			p.Reason = last
		}
		a.o.Log.Warn("the new program has ended badly", "version", p.Program.Version, "times", p.BadEnds, "reason", p.Reason)
	}
	if p.BadEnds >= maxBadEnds && s.Trial == nil {
		if begun, done := a.takeBack(s); begun {
			return true
		} else if done {
			return false
		}
	}
	if a.lift == nil {
		a.lift = time.AfterFunc(a.o.Probation, a.lifted)
	}
	if me.Boot == "" {
		return false // nothing can be told from a power cut
	}
	p.Running = &me
	a.tried("the run of the new program can't be noted", a.save(s))
	a.keepCrash()
	return false
}

func (a *Agent) tried(what string, err error) {
	if err != nil {
		a.o.Log.Error(what, "error", err)
	}
}

// takeBack begins the trial of the program before. Done says that there is none.
func (a *Agent) takeBack(s State) (begun, done bool) {
	p := s.Probation
	log := a.o.Log.With("version", p.Program.Version, "before", p.Before.Version)
	s.Probation = nil
	have, _, err := digestOf(oldOf(a.o.Program))
	if errors.Is(err, fs.ErrNotExist) || err == nil && have != p.Before.Digest {
		log.Error("the new program ends badly again and again, and the one before is not here any more: it stays")
		a.tried("its probation can't be ended", a.save(s))
		return false, true
	}
	if err == nil {
		err = a.bringBack(p.Before)
	}
	if err != nil {
		log.Error("the program before can't be taken back; tried again at the next start", "error", err)
		return false, false
	}
	reason := fmt.Sprintf("it ended badly %d times before it had worked for %v", p.BadEnds, a.o.Probation)
	if p.Reason != "" {
		reason += ": " + p.Reason
	}
	now := a.o.Now().UTC().Round(0)
	s.Failed, s.Unproven = &Failed{Program: p.Program, Reason: reason, When: now}, nil
	s.Trial = &Trial{Change: p.Change, From: p.Program, To: p.Before, Back: reason, Begun: now}
	if err := a.save(s); err != nil {
		log.Error("the program before can't be taken back; tried again at the next start", "error", err)
		return false, false
	}
	log.Warn("the new program is not tried again, and the one before is tried in its place", "reason", reason)
	return true, false
}

// bringBack makes the program before the candidate, by a second name.
func (a *Agent) bringBack(before Program) error {
	if have, _, err := digestOf(a.candidate()); err == nil && have == before.Digest {
		return nil
	}
	tmp := newlyOldOf(a.o.Program)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(oldOf(a.o.Program), tmp); err != nil {
		return err
	}
	if err := a.point("back"); err != nil {
		return err
	}
	if err := durable.Rename(tmp, a.candidate()); err != nil {
		return err
	}
	return a.point("brought-back")
}

// Ended says that the agent has ended after Start answered Run: with nil cleanly (it was told to, or hands over), else for that reason. It may be
// called again.
func (a *Agent) Ended(bad error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lift == nil {
		return
	}
	a.lift.Stop()
	s, err := a.State()
	if p := s.Probation; err != nil || p == nil || p.Running == nil || p.Program.Digest != a.own {
		return
	}
	if bad != nil {
		s.Probation.Reason = plain(bad.Error())
	} else {
		s.Probation.Running = nil
	}
	a.tried("the end of the new program can't be noted", a.save(s))
}

// lifted ends the probation: the program has worked for long enough.
func (a *Agent) lifted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.State()
	if err == nil && (s.Probation == nil || s.Probation.Program.Digest != a.own) {
		return
	}
	if s.Probation = nil; err == nil {
		err = a.save(s)
	}
	if err != nil {
		a.o.Log.Error("the probation of the new program can't be ended; tried again", "error", err)
		a.lift.Reset(a.o.Probation / 10)
		return
	}
	a.o.Log.Info("the new program has worked for long enough: its probation is over", "version", a.o.Version, "time", a.o.Probation.String())
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	_ = os.Remove(a.crashFile())
}

func (a *Agent) crashFile() string { return filepath.Join(a.o.Folder, "crash.txt") }

// keepCrash has the runtime write down why this process crashes, for the next start.
func (a *Agent) keepCrash() {
	f, err := os.OpenFile(a.crashFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
	}
	a.tried("the reason of a crash is not kept", err)
}

// lastCrash is the message of the crash of the run before, if it crashed.
func (a *Agent) lastCrash() string {
	f, err := os.Open(a.crashFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	for scanner := bufio.NewScanner(io.LimitReader(f, maxCrash)); scanner.Scan(); {
		if line := plain(scanner.Text()); line != "" {
			return line
		}
	}
	return ""
}
