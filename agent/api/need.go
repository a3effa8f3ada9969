package api

import (
	"slices"
	"time"
)

// Need is something that a person must see to. Kind is one of the Need constants; Args fill its sentence, which stands in package words under
// "need.KIND" in every language; the keys of Args are named beside each constant; sizes as in Said.
type Need struct {
	Kind string            `json:"kind"`
	Args map[string]string `json:"args,omitempty"`
}

// Do is the key of the sentence that says what to do about n as things stand here.
func (s *Status) Do(n Need) string {
	if n.Kind == NeedEngine && (s.Changing() || slices.Contains([]string{StateBackup, StateFetching, StateBundle}, s.State)) {
		return "need.do.engine_under_way"
	}
	return "need.do." + n.Kind
}

// Changing reports whether an update is put in place, or goes back.
func (s *Status) Changing() bool {
	return s.State == StateUpdating || s.State == StateUndoing || s.State == StateStuck
}

// Kinds of Need.
const (
	NeedClock   = "clock"   // the clock is wrong for certain; args: now
	NeedDisk    = "disk"    // too little disk for what is to be done, or for the agent itself; args: missing (a size in words), missing_bytes
	NeedOffline = "offline" // no source has answered for days; args: days
	NeedEngine  = "engine"  // the Docker Engine does not answer
	NeedHealth  = "health"  // the release that should run does not run well; args: release
	NeedStuck   = "stuck"   // going back can't finish; args: code
	NeedConfig  = "config"  // dhow.yaml can't be used; args: file, line and column where they are known, problem, and problem_kind with the arguments of "config.KIND"
	// What follows says that something is not known, or too old, or was refused or failed: whoever tells people that all is well rests on it.
	NeedUnknown    = "unknown"    // the engine answers, and yet nobody can tell how the release runs; args: release
	NeedTrouble    = "trouble"    // the agent can't go on, and tries again
	NeedManifest   = "manifest"   // there is no signed manifest here, so nobody knows what this site should run
	NeedUnassigned = "unassigned" // the manifest does not name this site
	NeedExpired    = "expired"    // the manifest counts no longer; args: day
	NeedUntrusted  = "untrusted"  // a source has answered, and what it sends is refused
	NeedBackup     = "backup"     // the last backup could not be made, or is damaged, or too old
	NeedDrill      = "drill"      // the last trial restore has failed; args: backup
)

// Offer is a bundle on a stick, or in a watched folder, that was found and looked at. Kind says what it is good for.
type Offer struct {
	ID      string            `json:"id"`                // stays the same while the stick is there
	Path    string            `json:"path"`              // of the bundle; what UpdateRequest.From takes
	Label   string            `json:"label,omitempty"`   // of the stick, or its folder's name
	Kind    string            `json:"kind"`              // one of the Offer constants
	Release string            `json:"release,omitempty"` // what this site would run after it
	Note    string            `json:"note,omitempty"`    // what that release says of itself, in the language of the site
	Args    map[string]string `json:"args,omitempty"`    // fill the sentence "offer.KIND" of package words
	Found   time.Time         `json:"found,omitzero"`    // when it was brought; zero when it was there before the agent began
	// Report says how writing the report for the centre onto that stick ended: one of the Report constants, empty when none was written. Its
	// sentence is "offer.report-REPORT".
	Report string `json:"report,omitempty"`
	// Copies are further bundles that bring the same release, on this stick or another. They are no offers of their own: an update asks them for what
	// the first can't give.
	Copies []Copy `json:"copies,omitempty"`
}

// Copy is a bundle that brings the same as an Offer.
type Copy struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

// How a report was written onto a stick.
const (
	ReportWritten  = "written"
	ReportReadOnly = "read-only" // the stick can't be written to
	ReportFull     = "full"
	ReportFailed   = "failed"
)

// Kinds of Offer. All but OfferInstall and OfferLooking are told and left alone. Args hold label, that of the stick, with every kind.
const (
	OfferLooking    = "looking"    // it is being read
	OfferInstall    = "install"    // signed for this site, and may be installed; args: release
	OfferCurrent    = "current"    // it holds what runs here; args: release
	OfferOlder      = "older"      // it is older than what this site has seen; args: release, if it says so
	OfferForeign    = "foreign"    // made for another fleet, signed by somebody else, or this site is not in the fleet that it holds
	OfferOthers     = "others"     // made for another site or ring of this fleet; args: name
	OfferDamaged    = "damaged"    // it can't be verified; args: problem
	OfferUnreadable = "unreadable" // the stick gives errors; args: problem
	OfferSince      = "since"      // it leaves out what this site does not have; args: since, release
	OfferNothing    = "nothing"    // it is ours, and holds nothing that this site should run now: held, not pinned, or without its release
	OfferFailed     = "failed"     // its release did not work here before, or a person left it; args: release
)
