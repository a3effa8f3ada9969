// Package agent is the root of everything that runs at a site. It holds no code; this is the architecture.
//
// # What it is
//
// A site is one computer with a Docker Engine and one compose stack whose data matters more than anything else on it. The agent
// keeps it on the release that a signed manifest names. The promise: after any fault the site runs the whole new release or the whole
// old one, with its data, and says which.
//
// # How data flow
//
//	centre                                   site
//	compose.yaml ─ author ─▶ release.json
//	fleet.yaml ──── sign ──▶ TUF metadata ─┐
//	images ──── bundle.Store ─▶ blobs ─────┤ pack: registry, folder, stick
//	                                       ▼
//	                     fetch.Source ─▶ trust (verified documents) ──────┬─▶ bundle/serve ─▶ other sites
//	                            └▶ ladder ─▶ bundle.Store (verified blobs)┤
//	                                                                      ▼
//	          browser ─▶ guard ─▶ page ──┐                        ┌─▶ notice ─▶ desktops, the hook
//	               dhow ─▶ socket ─▶ daemon ─▶ update (handlers) ─▶ change (runner) ─▶ journal
//	                                             │
//	                  engine  stack  backup  database  health  doors  ─▶ the Docker Engine, the volumes, the ports
//	                                 archive  offsite                 ─▶ the portable backups, sticks and buckets with copies of them
//
// # Who may import whom
//
// cmd → daemon → update → change. The adapters (engine, stack, backup, database, offsite, stick, health, doors, and fetch and trust outside of agent)
// know nothing of changes or the journal and never import each other. change imports the standard library only. The signing code (manifest/sign) and
// the release author are not linked into dhow. words knows only sentences and may be imported by all.
// page, metrics and notice tell people and programs how the site is, and what they order goes the way of the socket. imports_test.go enforces this.
//
// # The agent's own program
//
// What the service runs is replaced by package self: the program that is in place tries the next one as its child, and stays when that does not prove itself.
// update/agent.go fetches it as a layer, update/handover.go says when nothing is under way and what became of it.
//
// # Which bytes
//
// The plan step asks the ladder (bundle/ladder) how each layer that is missing comes for the fewest bytes: by a delta from an image that is
// here, over a release in between, whole as zstd, or as images carry it; update/ladder.go tells it what is here and what is not to be tried
// again. The fetch-blobs step lets it run: a delta that does not fit costs its own bytes, is told in the log and in the history, and the next
// rung is taken. What is fetched only to make layers of it goes as soon as they are made. Every image is unpacked
// once, as the engine will unpack it, before its release is ready: a layer that comes in one go while it is stored, all else in the verify step,
// which leaves out what images of the running release begin with: the engine has that, and is not sent it. What rots on the disk later is found
// when it is loaded, before anything is stopped: the store hands out no layer unread.
//
// # Sticks
//
// Package stick tells of sticks and finds bundles on them; update/offer.go says what each is good for, on a scratch copy of what the site trusts,
// and update/report.go leaves a signed report there (manifest/report). All of that happens beside the changes, gives way to them, and is forgotten at a restart.
//
// # Where to begin reading
//
// update/table.go is the whole update, a line for each step, do beside undo. change/doc.go says how steps survive crashes.
// update/errands.go is what is done with backups, update/thrift.go how a thin line is spared. update/facts.go is what a site remembers. update/apply.go and update/doors.go are what users feel.
// words holds every sentence for people in seven languages; what the agent says to them travels as a kind and arguments (api.Need, Offer, Said, Error) and becomes
// words where it is shown.
// Package installer makes the agent a service, and says what may go wrong with it there; cmd/dhow/install.go is the order in which a computer becomes a site.
// cmd/dhow/doctor.go is the table of what the doctor looks at, database/locks.go what a killed migration leaves; support/support.go says what leaves a site for the
// central team, and what never does.
// crash/doc.go says what a power cut may leave on the disk; its tests try that on everything that is kept there.
//
// # Rules that every handler keeps
//
//   - The journal says "doing" before anything happens; a handler may be called again at any time and finds its way from its note.
//   - A note is saved before the effect that it describes. Undo reads the note, never what it finds lying about.
//   - Users come in only after the commit, so undoing never throws away what somebody typed.
//   - From close-doors to the commit no container has a restart policy: after a power cut the engine starts nothing by itself.
//   - A clock may be set by years at any moment: durations go by the monotonic clock, what is kept may lie on either side of now (update/clock.go).
//   - Undo removes what its own step made. Everything older is removed in update/sweep.go only, when a change has ended and nothing can need it.
package agent
