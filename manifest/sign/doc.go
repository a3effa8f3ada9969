// Package sign is the central team's side of trust: the fleet repository, its keys, and the signing of manifests.
//
// A fleet repository is a folder that people keep in git:
//
//	fleet.yaml                   who runs what; people edit it, and commands edit it without touching the comments
//	keys/NAME.json               private keys, encrypted with a passphrase, or where in which token one is; 0600; not in git
//	releases/VERSION.json        release documents as package manifest writes them; immutable
//	ways/VERSION.json            the ways to a release beside the form in which its images carry its layers; more come with time
//	metadata/                    everything that was signed: N.root.json, N.targets.json, N.snapshot.json, timestamp.json; and
//	                             staged.root.json, a new root that waits for signatures
//	targets/                     the signed documents under their digests, as in a published folder
//	store/                       the bytes of the releases and of the ways to them (package bundle); not in git
//
// The metadata is that of The Update Framework: root keys, of which two of three must sign as a rule, sign roots; release keys the
// targets; freshness keys snapshot and timestamp. timestamp.json is written last and names everything else, so a Sign that was
// interrupted has changed nothing and is simply repeated. One change at a time works on a folder; a second one fails with ErrBusy.
// What fleet.yaml asks for as a line (1.2.x) or as "previous" is found when it is signed (see Resolve): sites are told exact versions only.
// Effect holds it against what sites run as far as the centre can tell: the last pin of the signed history that each could take.
//
// # Keys
//
// A key counts because a root names it, by its ID; its name stands beside it in the root. A Keyring finds the private halves, by ID, in
// the folder of the repository and at other places; any that the root names for a role signs. PrepareRoot makes the next root of a
// RootChange, signed by enough keys of the root before and of its own; one that lacks signatures is staged, takes up further changes, and
// is completed by SignRoot, by a ceremony (Prepare, Proposal.Sign, Finish), or dropped by AbandonRoot. Numbers of manifests go on counting
// under new keys; sites that a thief has led ahead forget his numbers with his keys. A root that comes from outside, in a ceremony or as
// the staged one, is refused where a key in it could hide from the people who are shown what it changes: an ID that is not the key's own,
// or a key for one half of the freshness.
//
// # Lifetimes
//
// Root 5 years, targets and snapshot one year, timestamp 90 days. An expiry only keeps a site from taking a manifest over the line; what
// runs there goes on, and a stick is good with a warning. So the timestamp may be as short as a centre can bear (it must sign once in a
// quarter, and Sign does it daily), while nothing needs a person more often than yearly, or a root key more often than every few years.
// How long a site is off does not matter: it walks all roots, whose own ends do not count, and then needs one fresh timestamp.
// Expiries speaks up 90, 30 and 7 days ahead.
//
// Where the keys are on several computers, Prepare, Proposal.Sign and Finish do the same with a file that is carried between them (see
// Ceremony). metadata/staged.root.json is a new root that waits for signatures.
//
// Before it answers, Sign reads what it made with the site's own code (manifest/trust). Putting documents where sites find them
// is left to bundle/pack, making release documents to manifest/author.
package sign
