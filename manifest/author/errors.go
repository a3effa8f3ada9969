package author

import (
	"errors"
	"fmt"
)

// Error is what a person did wrong or has to see to, with a hint of what to do about it.
type Error struct {
	Where string // file:line or file:line:column, or empty
	Text  string
	Hint  string
	Err   error // the cause, for errors.Is; its text is part of Text already
}

func (e *Error) Error() string {
	if e.Where == "" {
		return e.Text
	}
	return e.Where + ": " + e.Text
}

func (e *Error) Unwrap() error { return e.Err }

// Errors of image sources. The error that Create returns names image, service and file as well.
var (
	ErrNoImage    = errors.New("no such image")
	ErrNoPlatform = errors.New("image is not made for this platform")
	ErrDamaged    = errors.New("image is damaged")
)

func problem(where, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Where: where, Text: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}
