// Package delta makes a layer from the layers that a site has and a few bytes more.
//
// It promises that Apply gives the layer that the delta names, or an error: the output is compared with the layer's diff ID, so a delta
// needs no trust of its own. It promises that Apply holds at most some 40 MB whatever the size of the layers, leaves no file behind,
// and gives the same bytes each time: after a crash, delete the output and do it again. What a delta can make it do is bounded by the sizes
// in the header, in time too, and it ends soon when its context does. Create holds at most 1.5 GB, gives the same
// delta for the same input, and has applied it before it writes the first byte. What it makes may be larger than the layer when both
// sides have little in common: the caller compares. It leaves to others where deltas are kept, who signs for them and which are tried.
//
// # How
//
// The layers of the base, one after the other, are one address space: files are not paired by name, as names in front-ends carry
// hashes and versions. The new layer is made of operations: COPY bytes of the base, ADD bytes of the delta, and DIFF: bytes of the base
// with a byte of the delta added to each, as bsdiff does, which is what suits machine code whose addresses have shifted.
//
// Before that, zips are opened on both sides, two levels deep (a jar in a war): one changed class shifts every later bit of the deflate
// stream around it, and hides that all else is the same. The deflate streams that one side has and the other has not are replaced by
// what they hold. On the new side only those are opened that package deflate makes again to the same bytes; the others are carried
// as they are, so nothing fails for them, it only gains less. On the base's side they are only inflated, so any will do; what they hold
// is written to the spool, whose address space follows that of the base.
//
// # File
//
// All numbers of the header are big endian. A stream is 64 bytes long at least and one of the layer takes 32 bytes of what is opened; places
// other than 0 are at most one to 16 bytes of the opened layer and 1024.
//
//	magic       9 bytes   89 "dhow-" CE 94 0A
//	version     4         1
//	features    4         bit 0: streams are opened; bit 1: DIFF is used; with any other the delta can't be applied by this program
//	layers      4         of the base, at most 256
//	diff ID 32, size 8    for each layer of the base, lowest first, and for the new layer
//	spool       8         length of the spool, at most 16 times the base and 1 MiB
//	expanded    8         length of the new layer with its streams opened, at most 16 times the layer and 1 MiB
//	window      8         largest window of the zstd frames below, at most 8 MiB
//	sections    6 × 48    stored length 8, plain length 8, sha256 of the stored bytes 32
//	checksum    32        sha256 of all before
//
// The sections follow in this order, each one zstd frame, or nothing if it is empty. Numbers in them are varints, those of places signed.
//
//	streams of the base    for each: gap since the end of the stream before, stored length, plain length, count of streams inside;
//	                       for each of those: gap (in what the outer one holds), stored length, plain length
//	streams of the layer   for each: gap (bytes of the opened layer before it), parameters (level << 4 | memLevel), count of streams
//	                       inside; for each of those: gap, parameters, plain length; then the bytes after the last one inside.
//	                       What follows the last stream has no entry.
//	operations             length << 2 | kind; COPY 0, ADD 1, DIFF 2
//	places                 for each COPY and DIFF: where it reads, less where the operation before ended. ADD moves that place too.
//	literals               bytes of all ADD
//	differences            bytes of all DIFF
package delta
