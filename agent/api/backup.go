package api

import (
	"context"
	"net/http"
	"time"
)

// Sorts of backups.
const (
	BackupExact    = "exact"    // the copy of every file from the moment before an update; what a rollback returns to
	BackupPortable = "portable" // dumps and volumes in the deduplicated archive; restorable on another computer
)

// Backup is one line of GET /v1/backups.
type Backup struct {
	Name    string    `json:"name"` // for example 2026-11-21T210342-0018
	Sort    string    `json:"sort"` // BackupExact or BackupPortable
	Release string    `json:"release"`
	Made    time.Time `json:"made"`
	Bytes   int64     `json:"bytes"`            // of the data in it
	Stored  int64     `json:"stored,omitempty"` // that it has added to the disk
	Parts   []string  `json:"parts"`            // "volume db-data", "dump db", "folder /srv/scans"
	Restore bool      `json:"restore"`          // whether a rollback may need it
	// Verified is when every byte was last read and found right; Tested when it was last restored beside the system.
	Verified *time.Time `json:"verified,omitempty"`
	Tested   *time.Time `json:"tested,omitempty"`
	Copies   []string   `json:"copies,omitempty"` // places that hold a whole copy
	Trouble  string     `json:"trouble,omitempty"`
}

// Actions of a BackupRequest.
const (
	BackupCreate = "create"
	BackupVerify = "verify" // of one, or of all with an empty name
	BackupDrill  = "drill"  // restore beside the system, check, throw away; the newest with an empty name
	BackupDelete = "delete"
	BackupExport = "export" // the newest with an empty name
)

// BackupRequest is the body of POST /v1/backups.
type BackupRequest struct {
	Action string `json:"action"`
	Name   string `json:"name,omitempty"`
	Place  string `json:"place,omitempty"` // of an export
}

// Drill is how the newest trial restore ended.
type Drill struct {
	Backup string    `json:"backup"`
	When   time.Time `json:"when"`
	OK     bool      `json:"ok"`
	Reason string    `json:"reason,omitempty"` // why it is not
}

// Backup asks for something to be done with backups. It returns as soon as that has begun; follow it with Follow.
func (c *Client) Backup(ctx context.Context, r BackupRequest) (Started, error) {
	var s Started
	return s, c.ask(ctx, http.MethodPost, "/v1/backups", r, &s)
}
