// Package fault holds the named points at which tests stop the agent.
//
// Its functions do nothing in a release build. Built with the tag "faults", a point that $DHOW_FAULT names acts once: "address:action",
// several separated by commas, action being kill (the process ends with SIGKILL), panic, enospc or eio (the point returns that error).
// What has acted is noted in the folder $DHOW_FAULT_DIR, so that it does not act again after a restart.
//
// An address is "name", "name@step", "name#N" or "name@step#N": the Nth time, from 1 on, that this process passes the point, within the
// step when one is named. Names are "step/before", "step/after" (set by agent/change) and "step/place" (set inside handlers), which need
// no step, and "package/place" in the packages that touch disk and engine, such as "durable/rename" or "engine/containers-create/after".
//
// $DHOW_FAULT_CLOCK names a file with the number of seconds by which the wall clock of Now is wrong; it may change at any time. Timers are not
// touched by it, as they are not by a clock that is set.
//
// With $DHOW_FAULT_TRACE set to a file every point passed is appended to it, by its full address, a line each. Calls to the engine are
// points only where a change makes them (see Mark): what somebody asks meanwhile moves no number.
package fault
