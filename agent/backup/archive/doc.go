// Package archive keeps portable backups of folders and streams in a deduplicating repository, itself a folder.
//
// A backup is a record and the chunks that it names. A chunk that any backup has is not stored again, so that a nightly backup
// costs little more than what changed. Create is all or nothing: the record is put in place last, when every new byte is on disk
// and was read back from there. Verify reads every byte of a backup. Restore makes folders equal to it, and touches nothing before
// the whole backup is known to be there. Delete removes records, then frees what no record needs. Every one of them may be
// interrupted anywhere and run again; a backup that is listed is never lost by it. What belongs to a folder, and when a file is
// provably unchanged, package tree says; sockets are skipped, holes cost nothing and come back as holes.
//
// Files are cut into chunks: one whose size is a whole number of 4 KiB pages, as those of databases, into aligned blocks of 16
// KiB, so that a changed page costs no more than that; any other where its content says so (16 to 256 KiB, 64 KiB on average), so that
// chunks are found again when bytes were put in before them. Streams (dumps) are always cut by content.
//
// A repository holds
//
//	packs/SHA256         chunks, compressed, see pack.go; immutable, named by their content
//	records/NAME.json    {"sha256":"…","record":{…}}: Record, and the SHA-256 of its bytes as they stand there
//	index/*.run          where chunks stand, see run.go; made from the packs, and made anew when it is missing or damaged
//	damaged/SHA256       an empty note: this pack is not what was written. Its chunks are stored anew by the next Create, which mends
//	                     older backups too; what is right in it is still used
//	verified/NAME.json   when and how all of a backup was read and found right
//	lock                 flock: shared by readers, exclusive for changes; whoever can't have it gets ErrBusy at once
//
// A record names for each tree two lists, as chunks: entries, an index of package tree in which "sha256" is that of the file's part
// of the other list; and extents, see list.go.
//
// Memory is bounded for any number of bytes and chunks: the index is searched on disk, with 8 bytes in memory for 92 chunks; freeing
// needs a bit for each besides. Only the list of a tree's files is held in memory, some 0.5 KB for each. On disk a chunk costs 45
// bytes in the index and 36 in its pack, and 36 in the list of each backup in which its part of the list changed: 7 MB in all for a GB of
// database pages, 2 MB for one of other content.
//
// Names of fault points are archive/pack-create, pack-write, pack-sync, pack-verify, pack-place, pack-placed, index-write, record-write,
// record-placed, mark-verified, mark-damaged, read-begin, read-end, delete-record, deleted-record, delete-pack, repack,
// restore-clean, restore-file, restore-flush, object-write and object-place.
//
// The repository trusts nobody who can write into it to keep it whole, and keeps no secrets: it is as readable as the volumes.
// Copies that leave the site are made of Objects and encrypted by others.
package archive
