// Package bundle holds the bytes of releases: the store of a computer, the layout that folders, archives and web folders share,
// and the Source that everything is read from.
//
// It promises that content leaves the store verified: a reader of the store returns an error in place of EOF when the bytes are not
// those that the digest names, and a layer is never unpacked to more than its release declares. It promises that a power cut leaves a
// blob whole or absent. A layer that is written in one go is unpacked and compared meanwhile: VerifyImage doesn't read it again as long as the
// process lives and the file stays as it is, while readers of the store never rely on that. It leaves transport to bundle/fetch, writing of
// bundles to bundle/pack, and trust to manifest/trust: nothing here says whether a digest is one that somebody signed.
//
// # Layout
//
// A folder source, a published folder and a bundle (folder, .tar, .tgz, .tar.zst) hold
//
//	oci-layout, index.json            an OCI layout whose index lists the images' manifests
//	bundle.json                       Hint: unsigned, for people; only in bundles
//	manifest.json                     docker-archive list, so that plain "docker load" works; only in bundles
//	metadata/N.root.json              every root from 1 on
//	metadata/timestamp.json
//	metadata/N.snapshot.json, metadata/N.targets.json
//	targets/<sha256>.fleet.json.zst, targets/<sha256>.sites.json.zst
//	targets/sites/<sha256>.json.zst   parts of a large fleet
//	targets/releases/<sha256>.1.1.0.json
//	targets/ways/<sha256>.1.1.0.json  the ways to its layers
//	blobs/sha256/<hex>                image manifests, configs, layers, release files, deltas, layers as zstd
//
// In an archive all documents stand before the first blob. An archive may be cut in parts (bundle/split). A bundle whose Hint says "since" holds
// of its releases only what that one has not, a layer perhaps as a delta; no image is whole in it, so index.json lists none and there is no
// manifest.json.
//
// In an OCI repository the tag "manifest" is one artifact whose layers are documents, each with its path as title annotation. Documents
// that have their digest in their path are layers of the tag "documents", which sites don't ask for: the path says which blob they are. The
// tag "release-VERSION" is an index of the release's images and of one artifact whose layers are the release's files; the tag "ways-VERSION"
// one of the artifacts that hold the ways to it: deltas, an artifact for each image and base, and whole layers as zstd. The tag
// "blobs-VERSION" is an artifact whose layers are all blobs of both: Debian's registry, told to collect what has no tag of its own
// (garbage-collect -m), forgets what an index leads to. "manifest-before", "documents-before" and "blobs-VERSION-before" are what these were
// before the last publication. So one GET of a small thing tells whether anything is new, and every blob of a release can be had from the
// repository.
//
// # Store
//
//	blobs/sha256/<hex>    whole, verified content
//	partial/<hex>         the beginning of a blob that is being fetched; bundle/fetch appends to it
//	partial/<hex>.sums    what was written to it, piece by piece (see sums)
//	ladder/               temporary files of bundle/ladder while it runs
//	*/.dhow-tmp-*         leftovers of an interrupted write; Prune removes them
package bundle
