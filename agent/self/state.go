package self

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"dhow/bundle/durable"
)

// stateFormat is the format of state.json that this code writes, and the newest that it reads.
const stateFormat = 1

// maxState bounds the state, in bytes.
const maxState = 64 << 10

// Program is a program by its version and the digest of its file.
type Program struct {
	Version string        `json:"version"`
	Digest  digest.Digest `json:"digest"`
}

// State is /var/lib/dhow/agent/state.json. It is written whole and durably by the one process that is the agent or the starter; a program on
// trial only reads it. A state that can't be read, or is newer, counts as none: the program that is in place runs.
type State struct {
	Format int `json:"format"`
	// Trial is pending or under way.
	Trial *Trial `json:"trial,omitempty"`
	// Probation is that of the program in place, nil when that has worked for long enough.
	Probation *Probation `json:"probation,omitempty"`
	// Failed did not work here, and is not tried again.
	Failed *Failed `json:"failed,omitempty"`
	// Unproven could not reach a source, when the old one could a short time before.
	Unproven *Unproven `json:"unproven,omitempty"`
	// Last is how the last trial ended.
	Last *Outcome `json:"last,omitempty"`
}

// Trial is a candidate that is to prove itself.
type Trial struct {
	Change   uint64    `json:"change,omitempty"` // that prepared it
	From     Program   `json:"from"`             // the program that is proven
	To       Program   `json:"to"`               // the candidate
	Expect   Expect    `json:"expect"`
	Attempts int       `json:"attempts,omitempty"` // that were begun
	Crashes  int       `json:"crashes,omitempty"`  // of these, that ended by themselves
	Begun    time.Time `json:"begun"`
	Proven   bool      `json:"proven,omitempty"` // it is to take the program's place
	Back     string    `json:"back,omitempty"`   // why From is to go; To ran before it. Empty: To is new
}

// Expect is what worked for the old program, and has to work for the new one.
type Expect struct {
	Engine bool `json:"engine,omitempty"` // the Docker Engine answers
	Poll   bool `json:"poll,omitempty"`   // a source answers
}

// Failed is a program that did not work here.
type Failed struct {
	Program
	Reason string    `json:"reason"`
	When   time.Time `json:"when"`
}

// Unproven is a program that ran well but for the sources, or an engine that was away.
type Unproven struct {
	Program
	Tries int `json:"tries"`
}

// Results of a trial.
const (
	Done       = "done"
	RolledBack = "rolled back" // the old one is back
	TakenBack  = "taken back"  // To ended badly again and again when it did the real work: From is back
	Replaced   = "replaced"    // somebody has put another program in place meanwhile
	Undecided  = "undecided"   // no source answered, or the engine was away: it is tried again
)

// Outcome is how a trial ended.
type Outcome struct {
	Change uint64    `json:"change,omitempty"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Result string    `json:"result"`
	Reason string    `json:"reason,omitempty"`
	Begun  time.Time `json:"begun"`
	Ended  time.Time `json:"ended"`
}

func (a *Agent) stateFile() string { return filepath.Join(a.o.Folder, "state.json") }

// State reads the state. One that is not there is empty.
func (a *Agent) State() (State, error) {
	var s State
	f, err := os.Open(a.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read the state of the agent's program: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err == nil {
		s, err = parseState(data)
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot read the state of the agent's program: %s: %w", a.stateFile(), err)
	}
	return s, nil
}

func parseState(data []byte) (s State, err error) {
	if len(data) > maxState {
		return s, fmt.Errorf("more than %d bytes", maxState)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, err
	}
	if s.Format < 1 || s.Format > stateFormat {
		return State{}, fmt.Errorf("format %d, this one reads %d", s.Format, stateFormat)
	}
	if t := s.Trial; t != nil && (t.To.Digest.Validate() != nil || t.From.Digest.Validate() != nil || t.Attempts < 0 || t.Crashes < 0) {
		return State{}, errors.New("its trial is malformed")
	}
	if p := s.Probation; p != nil && (p.Program.Digest.Validate() != nil || p.Before.Digest.Validate() != nil || p.BadEnds < 0) {
		return State{}, errors.New("its probation is malformed")
	}
	return s, nil
}

// save puts the state in place.
func (a *Agent) save(s State) error {
	s.Format = stateFormat
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	err = durable.MkdirAll(a.o.Folder, 0o700)
	if err == nil {
		err = a.point("state")
	}
	if err == nil {
		err = durable.WriteFile(a.stateFile(), append(data, '\n'), 0o600)
	}
	if err == nil {
		err = a.point("state-written")
	}
	if err != nil {
		return fmt.Errorf("cannot write the state of the agent's program: %w", err)
	}
	return nil
}
