package sign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Mistake is one thing in fleet.yaml that can't be, and its place. Line and Column count from 1; they are 0 when it has no place of its own.
type Mistake struct {
	Path         string
	Line, Column int
	Text         string
	Kind         error // ErrUnknownRelease and the like; nil for what is written wrong
	// Section ("rings" or "sites") and Name say whose pin it is about, when it is about one.
	Section, Name string
}

func (m Mistake) String() string {
	switch {
	case m.Line == 0:
		return m.Path + ": " + m.Text
	case m.Column == 0:
		return fmt.Sprintf("%s:%d: %s", m.Path, m.Line, m.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.Path, m.Line, m.Column, m.Text)
}

// says returns m with another text.
func (m Mistake) says(kind error, format string, args ...any) Mistake {
	m.Kind, m.Text = kind, fmt.Sprintf(format, args...)
	return m
}

// Mistakes are the mistakes of one fleet.yaml, in the order in which they were found. As an error they tell the first.
type Mistakes []Mistake

func (m Mistakes) Error() string { return ErrFleetFile.Error() + ": " + m[0].String() }

// Unwrap makes them ErrFleetFile, and of the kind of the first one.
func (m Mistakes) Unwrap() []error {
	if m[0].Kind == nil {
		return []error{ErrFleetFile}
	}
	return []error{ErrFleetFile, m[0].Kind}
}

var yamlLine = regexp.MustCompile(`^line ([0-9]+): (.*)$`)

// syntaxMistake takes the line out of what the yaml library says.
func syntaxMistake(path string, err error) Mistake {
	m := Mistake{Path: path, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if found := yamlLine.FindStringSubmatch(m.Text); found != nil {
		m.Line, _ = strconv.Atoi(found[1])
		m.Text = found[2]
	}
	return m
}
