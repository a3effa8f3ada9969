// Package self replaces the agent's own program, and brings the old one back by itself when the new one does not work.
//
// It promises: the program that the service runs is at every moment a whole one that has proven itself here; a new one that crashes, hangs,
// can't be executed or can't fetch any more is set aside without a person, whatever moment the power fails at, and one that crashes again and again before
// it has worked for ten minutes is taken back; it is not tried again until the manifest
// names another one, or a person says --retry; a program on trial begins
// and finishes nothing of the site: all that it writes into journal, store and trust is what opening them writes; one process runs, two during a
// trial only. It leaves to others which program is wanted and whether it may be older (update, by the signed
// fleet document and agent/VERSION.json), how its bytes come (bundle/ladder), when nothing else is under way (update), and the service itself (installer).
//
// # Files
//
//	/usr/lib/dhow/dhow               the program: what the service runs (ExecStart=/usr/lib/dhow/dhow agent), and what people run
//	/usr/bin/dhow                    a link to it: ../lib/dhow/dhow
//	/usr/lib/dhow/package/dhow       what a package has brought. It is not touched here: the package puts it in place, as a second name, unless a newer one is there
//	/usr/lib/dhow/.dhow.new          the candidate: whole, verified, executable; from its preparation to the end of its trial
//	/usr/lib/dhow/.dhow.old          the program before the present one
//	/usr/lib/dhow/.dhow-tmp-old      the same, until it has that name
//	/var/lib/dhow/agent/state.json   see State
//	/var/lib/dhow/agent/crash.txt    what the Go runtime says of a crash, on probation only
//
// The folder of the program has to be writable for the service, and nothing else outside of /etc/dhow, /var/lib/dhow, /run/dhow and what the engine
// needs: a rename replaces the program, so a unit with ProtectSystem= would have to say ReadWritePaths=/usr/lib/dhow (a folder: with the file itself as a
// mount the rename fails). The program is found by where it was started from, links followed, so another place works too, with its files
// beside it. Where the folder can't be written an update is refused before anything is fetched. Who removes the program removes Files().
//
// # How
//
// "dhow agent" is a small starter and the agent in one. With no trial pending it is the agent, in the same process. When update has a candidate
// ready and nothing is under way it writes the trial into the state, stops, and executes its own program anew (the same pid). That finds the
// trial, and is then the starter: it is the proven program, and does nothing else.
//
//	         no trial                     trial                                          proven
//	start ───────────▶ agent      start ───────▶ count the attempt on disk ▶ candidate as a child ▶ note it ▶ stop it ▶ rename ▶ exec
//	                     ▲                                                      │ ends, silent, time over
//	                     └────────────── set aside, said why ◀──────────────────┘
//
// The candidate is run as ".dhow.new agent" with DHOW_TRIAL in its environment, its standard input and output being pipes to the starter. It is
// the whole agent (it takes the lock, opens journal and trust, answers on the socket) but begins no change, finishes none, and every order is answered
// with "busy" (exit code 7): what it writes is its own lines. Every few seconds it says "well", or "unwell" and why. Well means: GET /v1/status is
// answered over the real socket, the engine answers if it did for the old program, and once a source has brought a manifest that is trusted
// if the old one had one in the last day (on a scratch copy of the trust, so that nothing is kept of it). The proven program, not the
// candidate, measures: well for Settle without a gap, within Limit. Then the candidate is stopped and takes the program's place. When its standard
// input ends the starter is dead and the candidate ends too; on Linux the kernel kills it.
//
// minio/selfupdate writes and checks the candidate (PrepareAndCheckBinary). It puts it in place on Windows only (CommitBinary): it renames twice, and a
// power cut between leaves no program. Elsewhere the old one gets a second name (.dhow.old) and one rename puts the new one over it.
//
// # What happens at
//
//   - a crash at start, an exit (also with 0), an exec failure (wrong architecture, truncated, not executable, no loader): nothing of that is
//     seen for a working program, so two attempts and it is set aside. Wrong architecture, truncation and a wrong version are mostly found
//     before, by the digest, the ELF header and a bounded run of "dhow version --json": then no trial begins.
//   - a crash within the trial: the same. Settle is two minutes, so a crash in its second minute counts.
//   - a crash after the trial: the next chapter.
//   - a hang, never ready or a deadlock later: Limit (10 minutes) passes without Settle being reached; it is killed and set aside.
//   - no source answers the candidate: after Limit the old one runs, and the trial is repeated when the old one has just reached a source; after
//     three of these it is set aside.
//   - the engine does not answer the candidate, and the starter neither: the same, also when it comes back too late in the trial.
//   - a power cut: before the state says trial, nothing has happened. During it the attempt is counted, and the next start tries again; Attempts
//     (5) in all. After "proven" the next start does the rename, or sees by the digest of the program that it was done.
//     The rename is atomic and the folder is synced.
//   - a full disk: an attempt that can't be counted is not made: the proven program runs, the trial waits for the next start, or for --retry.
//     Status says why.
//   - a folder that can't be written any more, or without hard links, when the candidate has proven itself: the proven old program runs on, status says
//     why, and the next start tries the rename again, or the agent by itself every six hours, or at --retry.
//   - the starter killed: the candidate dies with it; the service manager starts the program again, and that is the proven one.
//   - a package or a person that puts another program over it in the middle: its digest is neither the old nor the new one, so the trial is over. That is
//     looked at when the service starts, and again in the instant before the rename; when it comes before the trial, none begins, and the agent
//     executes what was put there. A package restarts the service after it, which stops starter and candidate together. One that is older puts
//     nothing there, so the trial goes on at that start.
//   - a state that is damaged, or newer: it counts as none, and the next trial writes it anew.
//   - no /proc, so that a program can't find its own file: the agent runs and does not replace itself.
//   - two updates in a row: a new trial begins only when none is pending.
//   - a downgrade: update asks the manifest for permission; here a program that is older is tried like any other. One that can't read
//     the journal fails its trial.
//
// # Probation
//
// A program on trial does not do the real work; what crashes only there is found after the swap. So the state holds a probation then: the program before
// and its digest, and how often the new one has ended badly. Each start notes its process and the boot of the system, durably and before anything of the site
// is opened. A clean end (it was told to stop, or hands over) takes the note away, as does one that no other version would have
// escaped: another agent holds the site, a mistake in dhow.yaml. A note of this boot that the next start finds, of a process that is gone, is a bad end:
// a crash, an error, the watchdog, and also a SIGKILL by a person or for want of memory, as nobody can tell these apart. A power cut
// or a reboot does not count, as the boot is another one; in a container that shares the boot of its host a kill of the container does.
//
// Ten minutes of work without an end, by the monotonic clock, lift the probation for good. At the start after the third bad end the starter marks the new
// program as Failed, and begins an ordinary trial of .dhow.old: it has to start, to read what is there and to answer, no more. When it has proven itself it
// takes its place back (TakenBack, with the message of the last crash). When that trial fails the new one stays, without a probation: nothing goes
// in a circle. It stays too, and that is said once, when .dhow.old is gone or another one, and when somebody has put another program in place.
//
// What can't be read or written, such as on a full disk, is not counted, and never keeps the agent from starting; a take-back that it stops is tried again
// at the next start. Without /proc, and on Windows, nothing is counted. A program that crashes before it comes to Start is found by the trial.
//
// # Formats on disk
//
// The rule for whoever raises a format (journal, trust, store, this state): Open must read the old format and change nothing. What migrates belongs
// into update.Manager.Run, which a program on trial does not call; so the old one finds what it left. And not before the probation is over
// (State.Probation is nil), as the old one may have to come back until then. After it there is no way
// back to a program that can't read the new format: such a downgrade fails its trial and the newer one stays.
//
// # Init systems
//
// None is needed. The pid stays the same over every change of program, as exec does that. For systemd: Type=notify, NotifyAccess=main: READY=1
// comes from the main process in both roles; the starter says it when it begins a trial (which takes longer than TimeoutStartSec=), and
// feeds the watchdog meanwhile; the candidate gets no NOTIFY_SOCKET. TimeoutStopSec= stays 60 s, KillMode=mixed lets the
// starter end the candidate. With SysV, OpenRC or by
// hand the same happens without those words. On Windows, where nothing can be executed in place, the agent ends with an error and the service
// manager starts it again.
package self
