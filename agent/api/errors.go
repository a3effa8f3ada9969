package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Fail makes an Error. The message is in the user's words, lowercase and without a full stop; the hint is the next command, or whom to call.
func Fail(code int, hint, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// In returns e with the kind of its sentences in package words ("error.KIND" and, if e has a hint, "hint.KIND") and their arguments: names and values by
// turns.
func (e *Error) In(kind string, args ...string) *Error {
	said := *e
	said.Kind, said.Args = kind, pairs(args)
	return &said
}

// Code returns the exit code of err: that of the Error in it, CodeOK for nil, CodeInternal for anything else.
func Code(err error) int {
	if err == nil {
		return CodeOK
	}
	var e *Error
	if errors.As(err, &e) && e.Code != CodeOK {
		return e.Code
	}
	return CodeInternal
}

// AsError returns the Error in err, or makes one of it.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return Fail(CodeInternal, "try again; if it stays like this: dhow status", "the agent took too long to answer")
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}

// HTTPStatus returns the status that goes with an Error's code. 409 stands for a RollbackPlan only.
func HTTPStatus(code int) int {
	switch code {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeRefused, CodeNotTrusted, CodeRolledBack:
		return http.StatusUnprocessableEntity
	case CodeUnreachable:
		return http.StatusBadGateway
	case CodeBusy:
		return http.StatusLocked
	case CodeStuck, CodeNoAgent:
		return http.StatusServiceUnavailable
	case CodeNotConfirmed:
		return http.StatusPreconditionFailed
	}
	return http.StatusInternalServerError
}
