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
// A fetch keeps to the quiet hours and the data budget of its line, and to a pause that a person orders (thrift.go, limits.go, tally.go). It keeps
// nothing waiting: it ends when an update, a backup or its trial is due or when a person orders something, and is begun again after that
// (waiting.go), which costs a look for news, for the parts stay. While it runs the sources are asked for news all the same.
//
// Sticks that people plug in are looked at beside all this (sticks.go, offer.go; several bundles with one release are one offer, and what the
// first can't give an update takes from the others): it changes nothing, and gives way to every change that works on
// the disks. A stick of the fleet gets a report (report.go); that fails nothing.
//
// Users are let in only after the commit. Before it nobody could type anything, so undoing loses nothing; after it Dhow takes nothing
// back by itself.
//
// A full disk is no failure of a release: what is missing where is added up (room.go), and what failed for want of it goes on by itself when
// there is room (shortage.go); so does a fetch that would move many more bytes for want of room. An engine that is stopped in the middle is held against nobody.
// One that hangs, or whose containerd does, is said to (NeedEngine), also in the middle of a change, and waited for without a limit of our own: a frozen engine
// that goes on finishes what it was asked for, one that is killed breaks it off and the step is tried again, and going back would need it, too. The agent can be
// stopped meanwhile. A deadline that a frozen engine let pass is not held against the release.
//
// Whoever tells people that all is well says so only when Status has no Needs, and Status has one whenever a fact behind that is unknown, too old,
// refused or failed: how the release runs, what the site should run, what the sources say, the backups and their trial, the disk, the clock, the
// configuration, and whether the agent itself goes on (needs.go).
//
// This package leaves to others: the socket and the schedule (daemon), the order of do and undo (change), durability (journal).
package update
