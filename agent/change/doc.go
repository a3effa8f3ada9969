// Package change runs a sequence of steps that can be interrupted anywhere and still ends wholly done or wholly undone.
//
// A Change is a list of steps, each with a state:
//
//	          Do            Do returned nil
//	pending ──────▶ doing ─────────────────▶ done
//	                  │                        │
//	                  └──────────┬─────────────┘   some step failed before the commit
//	                             ▼
//	                          undoing ────────▶ undone
//
// The state is in the journal before the handler is called, so after a crash the same handler is called again: handlers are
// idempotent. When a step fails, it and all steps before it are undone, last one first. Once a step marked Commit is done nothing is
// undone any more: the steps after it are repeated until they work. An undo that fails is repeated, for ever, and nothing before it is
// touched meanwhile. When all is over, Cleanup of every step that began is called.
//
// The status of a change is derived from its steps and never stored. This package imports the standard library only; it knows neither
// what the steps do nor how the journal stores them.
package change
