// Package sign is the central team's side of trust: the fleet repository, its keys, and the signing of manifests.
//
// A fleet repository is a folder that people keep in git:
//
//	fleet.yaml                   who runs what; people edit it, and commands edit it without touching the comments
//	keys/NAME.json               private keys, encrypted with a passphrase; 0600
//	releases/VERSION.json        release documents as package manifest writes them; immutable
//	metadata/                    everything that was signed: N.root.json, N.targets.json, N.snapshot.json, timestamp.json
//	targets/                     the signed documents under their digests, as in a published folder
//	store/                       the bytes of the releases (package bundle); not in git
//
// The metadata is that of The Update Framework: a root that two of three root keys sign, one release key for the targets, one
// freshness key for snapshot and timestamp. timestamp.json is written last and names everything else, so a Sign that was
// interrupted has changed nothing and is simply repeated. One Sign at a time works on a folder; a second one fails with ErrBusy.
//
// Before it answers, Sign reads what it made with the site's own code (manifest/trust). Putting documents where sites find them
// is left to bundle/pack, making release documents to manifest/author.
package sign
