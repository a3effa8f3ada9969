//go:build !faults

// Package fault holds the named points at which tests stop the agent.
//
// Point does nothing in a release build. Built with the tag "faults", a point whose name stands in $DHOW_FAULT
// ("name:action", action being kill, panic, enospc or eio; several separated by commas) acts once: kill ends the process
// with SIGKILL, panic panics, the others return that error. A point that has acted is noted in the folder
// $DHOW_FAULT_DIR, so that it does not act again after a restart. With $DHOW_FAULT_TRACE set to a file every point passed is
// appended to it, a line each. Names are "step/before", "step/after" (set by agent/change) and "step/place" (set inside handlers).
package fault

// Point gives tests a place to fail. It returns nil in a release build.
func Point(string) error { return nil }
