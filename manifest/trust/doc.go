// Package trust decides at a site which manifest is the right one, and keeps what it has decided through power cuts.
//
// A Workflow follows the client workflow of The Update Framework (section 5 of its specification, 1.0) and knows nothing of fleets: from
// a root it walks to the newest root, then to timestamp, snapshot and targets, and finds files in the lists that targets delegate
// to. A Client stands on it: it begins with the root of trust given at install, ends with the fleet document, and asks for
// more than TUF where a fleet must never be led back or left without a way on. A Client promises that what Refresh and Current return was
// signed by the fleet's own keys, belongs together, and is not older than what this site has accepted before; and that Release
// and Ways return the very documents that the manifest names. Where the bytes come from does not matter: a Source is never trusted, and
// every document is bounded before it is read and before it is parsed.
//
// Online sources keep to the order of the specification: each document that was verified is kept at once, so that a line that
// breaks half-way costs nothing. A stick (offline) is tried on a copy that is kept only when all of it was good. What Current
// returns is always a complete manifest, whatever was interrupted. Expiry refuses a manifest from an online source; from a stick
// it is a warning, because a stick may be old and the clock of the computer wrong.
//
// The reference time is the computer's clock, but never before the floor: the build of the program, or the newest signing time of what
// was accepted. It is taken once for a whole refresh. A clock behind the floor is wrong for certain, and said to be; one that is ahead
// can't be told from a right one, so a refusal names both times. What a server says of the time is worth a word (Clock.Doubt) and never
// moves the floor.
//
// # State on disk
//
//	root.json                        the root of trust given at install
//	state-0, state-1                 two slots; the valid one with the higher generation counts, the other is overwritten next
//	releases/VERSION.SHA256.json     release documents that were verified; they stay when a newer manifest leaves them out
//	ways/VERSION.SHA256.json         documents of ways that were verified; the one that takes their place removes them
//
// A slot is a line "dhow-trust 1 GENERATION SHA256 LENGTH" and the JSON of type state. The checksum guards against disks and power
// cuts, not against root. One process at a time writes the folder; others may read it. Who keeps Roots, the number and the floor at
// another place can Restore a folder that was lost, and loses no ground by it.
//
// Explain verifies the whole chain again, from the root given at install to the fleet, and says by what each link holds; the roots in between
// are kept for that. SourceRoots and FindRoot are for enrolment: which of a fleet's roots a fingerprint vouches for.
//
// A Client is itself a Source: Document and Documents hand on, as they were signed, the documents of the manifest that it has verified.
//
// Package trust signs nothing and leaves blobs to package bundle.
package trust
