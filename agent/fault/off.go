//go:build !faults

package fault

import (
	"context"
	"time"
)

// Point gives tests a place to fail. It returns nil in a release build.
func Point(string) error { return nil }

// Step is Point for the places of a step; what follows counts as within that step.
func Step(string) error { return nil }

// Mark returns a context in which calls to the engine are points.
func Mark(ctx context.Context) context.Context { return ctx }

// Marked reports whether ctx comes from Mark.
func Marked(context.Context) bool { return false }

// Now is the wall clock of this computer.
func Now() time.Time { return time.Now() }
