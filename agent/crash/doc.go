// Package crash finds out what a power cut can leave on the disk. It is for tests only; nothing imports it.
//
// Its own tests (tag e2e: root and FUSE) are the subject of scripts/bench crash: states of the journal, the store, the trust state, the settings
// and release folders of a site, snapshots and restored volumes, the archive of backups, and copies on a stick. They also let the disk refuse in the
// middle of all that.
//
// Mount makes a file system in memory (FUSE) that records every operation of the programs that use it. State builds, from such a record,
// what a disk may hold when the power fails after any of the operations; Write puts that into a folder, where the real code of
// the agent is then asked what it makes of it. The same file system can fail: reads with EIO, writes that are cut short or find the disk full.
//
// # What the disk keeps
//
// The model is the strict one: what POSIX promises and, for renames, what every journalling file system adds. It is harsher than ext4, XFS and btrfs
// are, which keep the order of operations on names; what passes here passes there.
//
//   - A file's content and attributes are certain up to its last fsync or fdatasync. Of everything after that any part may be there: each
//     block (512 bytes or 4 KiB, both are tried) of each write, and each change of size, times, owner, mode or extended attributes, by itself and in any
//     order. A file may have its new size without its new content, which then reads as zeros, or the content without the size.
//   - The names in a folder are certain up to the last fsync of that folder. Of the operations after that (create, link, unlink, rename, mkdir,
//     rmdir) any may be there and any may be missing. A file's fsync says nothing about its name, and a folder's nothing about its own name in
//     the folder above.
//   - What can't be opened to be synced (links, pipes, devices) has its attributes certain with the folder that it stands in. The agent uses
//     syncfs where it can; FUSE does not hear that, and the agent then syncs file by file.
//   - One operation on names is never torn: a rename is there or not, an exchange too, also across folders, where the fsync of either makes it certain.
//
// Not modelled: disks that lose what they said was flushed, and blocks that read back as garbage (checksums of the formats are tested elsewhere).
package crash
