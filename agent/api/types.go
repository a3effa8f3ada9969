package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// States of a site, as status says them.
const (
	StateIdle     = "idle"     // nothing to do
	StateFetching = "fetching" // bytes of a release are on their way
	StateReady    = "ready"    // a release is here and waits for the window or a person
	StateUpdating = "updating" // an apply or rollback change runs
	StateBackup   = "backup"   // a backup is being made, verified, tested, copied out or deleted
	StateBundle   = "bundle"   // a bundle for neighbours is being written
	StateUndoing  = "undoing"  // it goes back to the old release
	StateStuck    = "stuck"    // going back can't finish; retried by itself, needs a person
	StateNew      = "new"      // nothing installed yet
)

// Results of an ended update.
const (
	ResultDone       = "done"
	ResultRolledBack = "rolled back"
	ResultRefused    = "refused" // stopped by a check before any downtime
)

// Status answers GET /v1/status. Scripts find site, release, known_good, pinned, state, step and last_update in it at all times.
type Status struct {
	Site       string  `json:"site"`
	Fleet      string  `json:"fleet,omitempty"`
	Release    string  `json:"release"`            // what runs now
	KnownGood  string  `json:"known_good"`         // last release that passed its checks here
	Pinned     string  `json:"pinned"`             // what the manifest asks for
	Note       string  `json:"note,omitempty"`     // what the pinned release says of itself, in the language of the site
	Hold       string  `json:"hold,omitempty"`     // reason of a hold
	Contact    string  `json:"contact,omitempty"`  // whom to call
	Language   string  `json:"language,omitempty"` // of the people here
	Manifest   int64   `json:"manifest,omitempty"` // number of the newest manifest seen
	State      string  `json:"state"`
	Code       string  `json:"code,omitempty"` // what to tell whoever helps, while the site goes back (see Receipt)
	Step       string  `json:"step"`
	StepNumber int     `json:"step_number,omitempty"`
	StepCount  int     `json:"step_count,omitempty"`
	Health     string  `json:"health,omitempty"` // healthy, unhealthy or stopped, asked of the engine
	LastUpdate *Update `json:"last_update"`      // nil before the first
	// Bad is set while the pinned release is not taken by itself. Noted is the receipt of the update of whose end a person has taken note last.
	Bad   *Bad   `json:"bad,omitempty"`
	Noted string `json:"noted,omitempty"`
	// LastCheck is when a source last answered; LastError why the newest attempt failed, in words.
	LastCheck  *time.Time `json:"last_check,omitempty"`
	LastError  string     `json:"last_error,omitempty"`
	LastBackup *time.Time `json:"last_backup,omitempty"`
	LastDrill  *Drill     `json:"last_drill,omitempty"`
	NextBackup *time.Time `json:"next_backup,omitempty"`
	NextCheck  *time.Time `json:"next_check,omitempty"`
	Fetch      *Fetching  `json:"fetch,omitempty"`  // what is being fetched, or waits to be
	Line       *LineUse   `json:"line,omitempty"`   // where there is a budget
	Paused     *Pause     `json:"paused,omitempty"` // nothing is fetched
	// NextApply is when the release that is ready will be applied; nil when there is none, or nobody can tell. Later is until when a person put
	// it off.
	NextApply *time.Time `json:"next_apply,omitempty"`
	Later     *time.Time `json:"later,omitempty"`
	// UsualSeconds is how long the system is away in an update, and LeftSeconds how long the change at work will take still, both by this
	// computer's own history; 0 when it has none.
	UsualSeconds float64 `json:"usual_seconds,omitempty"`
	LeftSeconds  float64 `json:"left_seconds,omitempty"`
	// Done and Total are the bytes of the step at work; 0 where it has none.
	Done     int64    `json:"done,omitempty"`
	Total    int64    `json:"total,omitempty"`
	Offers   []Offer  `json:"offers,omitempty"` // of sticks, those that may be installed first
	Key      string   `json:"key,omitempty"`    // with which this site signs its reports, the public half; its fingerprint beside it
	KeyPrint string   `json:"key_fingerprint,omitempty"`
	Needs    []Need   `json:"needs,omitempty"` // the worst first
	Warnings []string `json:"warnings,omitempty"`
	// WarningsSaid are the same for other languages, by their places; Kind is empty where there is nothing. See Warn, Warned and Further.
	WarningsSaid []Said `json:"warnings_said,omitempty"`
	Agent        *Agent `json:"agent,omitempty"`
}

// Bad is a release that is not put in place by itself: it did not work here, or a person chose another one.
type Bad struct {
	Release string    `json:"release"`
	When    time.Time `json:"when"`
	ByHand  bool      `json:"by_hand,omitempty"` // a person chose another one
}

// Agent is what Status says of the agent's own program.
type Agent struct {
	Version string `json:"version"`
	Wanted  string `json:"wanted,omitempty"`  // what the manifest asks for, when that is another one and will be taken
	Ready   bool   `json:"ready,omitempty"`   // Wanted is here, and is tried when nothing is under way
	Trial   bool   `json:"trial,omitempty"`   // Version is on trial: orders are not taken
	Asked   string `json:"asked,omitempty"`   // what the manifest asks for, when that is another one, whether or not it will be taken
	Trouble string `json:"trouble,omitempty"` // why it is not taken
	Kind    string `json:"kind,omitempty"`    // of the trouble: failed (it did not work here), older (without permission) or waits (its trial can't go on)
}

// Update is one line of the history: an ended (or running) apply or rollback. Finished is zero while it runs. All but backup is always
// there.
type Update struct {
	ID              uint64    `json:"id"`
	Receipt         string    `json:"receipt"` // see Receipt
	Kind            string    `json:"kind"`    // apply, rollback, restore or adopt
	From            string    `json:"from"`
	To              string    `json:"to"`
	Result          string    `json:"result"`
	Reason          string    `json:"reason"` // why it was rolled back or refused
	Started         time.Time `json:"started"`
	Finished        time.Time `json:"finished"` // null while it runs
	DowntimeSeconds float64   `json:"downtime_seconds"`
	BytesFetched    int64     `json:"bytes_fetched"`
	Backup          string    `json:"backup,omitempty"`   // name of the backup that it made
	Setbacks        []string  `json:"setbacks,omitempty"` // why more had to move when it was fetched, such as deltas that did not fit
}

// MarshalJSON writes null for Finished while the update runs: the zero time is no moment that anybody should read.
func (u Update) MarshalJSON() ([]byte, error) {
	type plain Update
	out := struct {
		plain
		Finished *time.Time `json:"finished"`
	}{plain: plain(u)}
	if !u.Finished.IsZero() {
		out.Finished = &u.Finished
	}
	return json.Marshal(out)
}

// Receipt names a change for people, on the telephone too: KIN-001-0017. With -R at its end it is a support code: the change did not work.
func Receipt(site string, id uint64, worked bool) string {
	r := fmt.Sprintf("%s-%04d", strings.ToUpper(site), id)
	if !worked {
		r += "-R"
	}
	return r
}

// UpdateRequest is the body of POST /v1/update. From is a path on the site's computer; empty means the configured sources.
// Now asks to apply without waiting for the window.
type UpdateRequest struct {
	From string `json:"from,omitempty"`
	Now  bool   `json:"now,omitempty"`
	// Release, when it is set, is what a person has been told that he orders: another one is not taken.
	Release string `json:"release,omitempty"`
	// Retry also takes a release that did not work here, or that a person left.
	Retry bool `json:"retry,omitempty"`
}

// LaterRequest is the body of POST /v1/later: the release that is ready is not applied today, but in the first window of tomorrow or after.
// It answers Put.
type LaterRequest struct{}

// Put says until when an update is put off.
type Put struct {
	Later     time.Time  `json:"later"`
	NextApply *time.Time `json:"next_apply,omitempty"`
}

// RollbackRequest is the body of POST /v1/rollback. Backup names a backup to restore; the other fields then say nothing. To is a version, empty for the known-good release before the current one.
// Data is "restore", "keep", or empty for what the release says. Confirm must be the site's name; without it nothing happens and the
// answer is a RollbackPlan.
type RollbackRequest struct {
	To      string `json:"to,omitempty"`
	Data    string `json:"data,omitempty"`
	Backup  string `json:"backup,omitempty"`
	Confirm string `json:"confirm,omitempty"`
}

// RollbackPlan says what a rollback would do and what will not be in the running system afterwards.
type RollbackPlan struct {
	From      string    `json:"from"`
	To        string    `json:"to"`
	Data      string    `json:"data"`
	DataSince time.Time `json:"data_since,omitzero"` // the moment to which restored data goes back
	Loss      []string  `json:"loss,omitempty"`      // sentences
	Said      []Said    `json:"said,omitempty"`      // the same for other languages, one for each
	Backup    string    `json:"backup,omitempty"`    // the one to be restored, when one was named
	Site      string    `json:"site"`
}

// Started answers a POST that began something: follow it at GET /v1/changes/{id}/events.
type Started struct {
	Change uint64 `json:"change"`
	// Nothing is set when there is nothing to do; Message says why, or what else should be known at the beginning.
	Nothing bool   `json:"nothing,omitempty"`
	Message string `json:"message,omitempty"`
}

// Event is one line (JSON) of GET /v1/changes/{id}/events. The last one has Result or Error set.
type Event struct {
	Change     uint64  `json:"change"`
	Kind       string  `json:"kind"` // fetch, apply, rollback, restore, adopt, backup, verify, drill, delete, export, bundle
	Step       string  `json:"step,omitempty"`
	StepNumber int     `json:"step_number,omitempty"`
	StepCount  int     `json:"step_count,omitempty"`
	Undoing    bool    `json:"undoing,omitempty"`
	Message    string  `json:"message,omitempty"`
	Said       *Said   `json:"said,omitempty"`  // the last Message for other languages
	Done       int64   `json:"done,omitempty"`  // bytes
	Total      int64   `json:"total,omitempty"` // bytes
	Update     *Update `json:"update,omitempty"`
	Backup     *Backup `json:"backup,omitempty"` // what a change of backups was about, at its end
	Bundle     *Bundle `json:"bundle,omitempty"` // what was written, at the end of such a change
	Error      *Error  `json:"error,omitempty"`
	// Next is the change that goes on from here (an apply after its fetch); followers switch to it.
	Next uint64 `json:"next,omitempty"`
	// End is set on the last event of a change.
	End bool `json:"end,omitempty"`
}

// pairs makes a map of names and values by turns; nil for none.
func pairs(args []string) map[string]string {
	if len(args) < 2 {
		return nil
	}
	m := make(map[string]string, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		m[args[i]] = args[i+1]
	}
	return m
}

// Error is the body of every answer that is not 2xx, and the end of a change that did not succeed.
//
// Message and Hint are English. Where Kind is set, the same stands in package words under "error.KIND" and "hint.KIND" in the languages of people,
// filled with Args.
type Error struct {
	Code    int               `json:"code"` // exit code, see Codes
	Message string            `json:"message"`
	Hint    string            `json:"hint,omitempty"`
	Kind    string            `json:"kind,omitempty"`
	Args    map[string]string `json:"args,omitempty"`
}

func (e *Error) Error() string { return e.Message }
