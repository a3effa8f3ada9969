package manifest

import "time"

// Fleet says what every site runs. It is the signed counterpart of fleet.yaml: rings plus overrides. How it travels stands at FleetFiles.
type Fleet struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	Policy Policy `json:"policy"`
	// Agent is the version of dhow itself that sites run, see Agent; empty leaves them on what they have. AgentDowngrade lets those that run a
	// newer one go back to it. A ring may say something else.
	Agent          string `json:"agent,omitempty"`
	AgentDowngrade bool   `json:"agentDowngrade,omitempty"`

	Rings map[string]Ring `json:"rings"`
	// Sites are all sites, or those of one part when the fleet was read for one site.
	Sites map[string]Site `json:"sites,omitempty"`
}

// Policy holds the defaults of all sites; a site's own configuration wins.
type Policy struct {
	Fetch     string       `json:"fetch,omitempty"`     // cron expression, five fields
	Window    string       `json:"window,omitempty"`    // "21:00-05:00" in TimeZone; empty means any hour
	TimeZone  string       `json:"timeZone,omitempty"`  // IANA name; empty means the computer's
	Rate      string       `json:"rate,omitempty"`      // the most that a site fetches, see ParseRate; empty means no limit
	Quiet     string       `json:"quiet,omitempty"`     // hours in which nothing is fetched over a line, see ParseQuiet
	Budget    Budget       `json:"budget,omitzero"`     // the most that crosses a metered line
	Keep      int          `json:"keep,omitempty"`      // snapshots to keep, at least 2
	Backup    BackupPolicy `json:"backup,omitzero"`     // portable backups
	Languages []string     `json:"languages,omitempty"` // of the notes that people at the sites read, the best first
	Contact   string       `json:"contact,omitempty"`   // whom a site calls
	// BackupKey is the age public key (age1…) that copies of backups are encrypted to; without it sites make none.
	BackupKey string `json:"backupKey,omitempty"`
}

// Budget is how much may be fetched over a line in a day and in a month of the time zone, see ParseSize; empty means any amount.
type Budget struct {
	Day   string `json:"day,omitempty" yaml:"day,omitempty"`
	Month string `json:"month,omitempty" yaml:"month,omitempty"`
}

// BackupPolicy says when sites make portable backups by themselves, and what becomes of them. Empty fields mean what the site says itself.
type BackupPolicy struct {
	At    string `json:"at,omitempty"`    // cron expression, five fields, or "never"
	Drill string `json:"drill,omitempty"` // of the trial restore: the same
	Keep  int    `json:"keep,omitempty"`  // how many of the newest
	Days  int    `json:"days,omitempty"`  // the oldest age
	Space string `json:"space,omitempty"` // for all together, see ParseSize
}

// Ring is a group of sites that runs the same release.
type Ring struct {
	// Pin is the exact version, empty while nothing is assigned. Asked is what fleet.yaml says when that is another thing, see ParsePin;
	// the centre finds the Pin for it when it signs.
	Pin   string `json:"pin,omitempty"`
	Asked string `json:"asked,omitempty"`
	// Downgrade allows sites that run a newer release to go back to Pin, as far as the rules of the releases permit it.
	Downgrade bool `json:"downgrade,omitempty"`
	// Agent and AgentDowngrade take the place of those of the fleet.
	Agent          string `json:"agent,omitempty"`
	AgentDowngrade bool   `json:"agentDowngrade,omitempty"`
	// Settings are values of variables that are no secret, for all sites of the ring.
	Settings map[string]string `json:"settings,omitempty"`
}

// Site is one computer. Pin, Asked, Downgrade and Settings override those of the ring; each setting by itself.
type Site struct {
	Ring      string            `json:"ring"`
	Pin       string            `json:"pin,omitempty"`
	Asked     string            `json:"asked,omitempty"`
	Downgrade bool              `json:"downgrade,omitempty"`
	Hold      *Hold             `json:"hold,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"`
}

// Hold freezes a site on what it runs.
type Hold struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}
