package api

import "time"

// Fetching is a release whose bytes are on their way or wait for something. Done and Total are bytes.
type Fetching struct {
	Release string `json:"release"`
	Done    int64  `json:"done"`
	Total   int64  `json:"total"`
	// Speed is bytes in a second at present, SecondsLeft what is left at that; 0 while nobody knows.
	Speed       int64   `json:"speed,omitempty"`
	SecondsLeft float64 `json:"seconds_left,omitempty"`
	// Estimate says in words how long what is left will take, with quiet hours and budget, "" when nothing is known.
	Estimate     string `json:"estimate,omitempty"`
	EstimateSaid *Said  `json:"estimate_said,omitempty"` // the same for other languages, like those below
	// Waits says in words why nothing moves, Until when it goes on by itself; nil when a person or another change decides that.
	Waits     string     `json:"waits,omitempty"`
	WaitsSaid *Said      `json:"waits_said,omitempty"`
	Until     *time.Time `json:"until,omitempty"`
}

// LineUse is what has crossed the line in the present day and month, in bytes, and what may; 0 means any amount.
type LineUse struct {
	Day         int64 `json:"day"`
	DayBudget   int64 `json:"day_budget,omitempty"`
	Month       int64 `json:"month"`
	MonthBudget int64 `json:"month_budget,omitempty"`
	// Next says in words when there is a budget again, "" while there is.
	Next     string `json:"next,omitempty"`
	NextSaid *Said  `json:"next_said,omitempty"`
}

// Pause is what a person has ordered with dhow pause. Until is nil when it ends with dhow resume only.
type Pause struct {
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"`
}

// PauseRequest is the body of POST /v1/pause. Seconds is how long nothing is fetched, 0 for until somebody resumes.
type PauseRequest struct {
	Seconds int64 `json:"seconds,omitempty"`
}

// Paused answers POST /v1/pause and /v1/resume. Pause is what holds now, nil for nothing; Ended what held before a resume.
type Paused struct {
	Pause *Pause `json:"pause"`
	Ended *Pause `json:"ended,omitempty"`
}
