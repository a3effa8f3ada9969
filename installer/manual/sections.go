package manual

import (
	"strconv"
	"time"

	"dhow/agent/api"
)

// ExitCodes is the table of exit codes.
func ExitCodes() Section {
	s := Section{Title: "Exit status"}
	for _, c := range api.Codes {
		s.Items = append(s.Items, [2]string{strconv.Itoa(c.Code), c.Meaning})
	}
	return s
}

// Day is the date of a book, empty for a source of no known time.
func Day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}
