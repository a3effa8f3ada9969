// Package tree describes the files of a folder exactly, and makes folders equal to such descriptions. Snapshots and archives
// are built on it; where contents are kept is theirs to say.
//
// Scan lists a folder as entries, WriteIndex and ReadIndex put them into a file and back, and Mirror makes a folder equal to
// them with contents that its caller provides. Kept are owner, mode, modification time in nanoseconds, extended attributes with
// POSIX ACLs, hard links, symbolic links, fifos and device nodes, under any file name. Sockets are skipped. Access times and inode
// flags are not kept. Holes are for who copies contents; see Segment. No symbolic link inside a folder is ever followed, no path
// is too long.
//
// An entry's times and inode prove that a file was not touched since (Same), unless a time was so fresh that a later change
// could bear the same one (Fresh), or the system has started anew: a power cut may keep what a program wrote into a file and lose
// the times that tell of it. An index therefore names the start of the system, the kernel's boot id, that it was made in; see
// Doubt.
//
// An index is text, a JSON object in each line: first {"format":1,"boot":"…"}, then the entries, folders before what is in them
// and the first name of a hard-linked file before the others. It is the authority for everything but content.
//
// All but the index works on Linux only; elsewhere it answers ErrUnsupported.
package tree

import "errors"

var (
	// ErrIndex means that an index is not what was written.
	ErrIndex = errors.New("the index is damaged")
	// ErrUnsupported means that this operating system has no exact copies of folders.
	ErrUnsupported = errors.New("copies of volumes work on Linux only")
)
