package manifest

import "time"

// FleetFormat is the newest fleet format that this code reads.
const FleetFormat = 1

// FleetPath is the TUF target path of the fleet document (zstd-compressed JSON).
const FleetPath = "fleet.json.zst"

// Fleet says what every site runs. It is the signed counterpart of fleet.yaml: rings plus overrides.
type Fleet struct {
	Format int             `json:"format"`
	Name   string          `json:"name"`
	Policy Policy          `json:"policy"`
	Rings  map[string]Ring `json:"rings"`
	Sites  map[string]Site `json:"sites"`
}

// Policy holds the defaults of all sites; a site's own configuration wins.
type Policy struct {
	Fetch    string `json:"fetch,omitempty" yaml:"fetch,omitempty"`       // cron expression, five fields
	Window   string `json:"window,omitempty" yaml:"window,omitempty"`     // "21:00-05:00" in TimeZone; empty means any hour
	TimeZone string `json:"timeZone,omitempty" yaml:"timeZone,omitempty"` // IANA name; empty means the computer's
	Keep     int    `json:"keep,omitempty" yaml:"keep,omitempty"`         // snapshots to keep, at least 2
	Contact  string `json:"contact,omitempty" yaml:"contact,omitempty"`   // whom a site calls
	// BackupKey is the age public key (age1…) that copies of backups are encrypted to; without it sites make none.
	BackupKey string `json:"backupKey,omitempty" yaml:"backupKey,omitempty"`
}

// Ring is a group of sites that runs the same release. Pin is empty while nothing is assigned.
type Ring struct {
	Pin string `json:"pin,omitempty" yaml:"pin,omitempty"`
}

// Site is one computer. Pin overrides the ring's.
type Site struct {
	Ring string `json:"ring" yaml:"ring"`
	Pin  string `json:"pin,omitempty" yaml:"pin,omitempty"`
	Hold *Hold  `json:"hold,omitempty" yaml:"hold,omitempty"`
}

// Hold freezes a site on what it runs.
type Hold struct {
	Reason string    `json:"reason" yaml:"reason"`
	Since  time.Time `json:"since" yaml:"since"`
}
