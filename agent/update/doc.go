// Package update is the pipeline: what Dhow does to bring a site from one release to another, step by step, and back.
//
// The steps stand in table.go, a line each. Handlers decide when; the packages engine, stack, backup, health, doors, fetch and trust
// know how. What a handler must find again after a power cut is in its note (persisted before the effect), and what is true of
// the site is in the facts of the journal (facts.go). Everything else is derived.
//
// Two changes make an update: fetch gets the bytes, which may take days and has no undo; apply uses them and takes minutes. A
// rollback that a person orders is an apply of an older release that may put data back. Adopt takes over a stack that ran before Dhow.
//
// A restore is a rollback to the data of a portable backup. Errands look after backups: they touch nothing that runs, and those that the
// schedule begins (routine.go) give way to whatever a person asks for and to an update that is due.
//
// Users are let in only after the commit. Before it nobody could type anything, so undoing loses nothing; after it Dhow takes nothing
// back by itself.
//
// A full disk is no failure of a release: what is missing where is added up (room.go), and what failed for want of it goes on by itself when
// there is room (shortage.go). An engine that is stopped in the middle is held against nobody.
//
// This package leaves to others: the socket and the schedule (daemon), the order of do and undo (change), durability (journal).
package update
